/** What to do when the words of a client program explain nothing, by its exit status. */
export const unexplainedHint = (status: number): string =>
  status > 128
    ? "it was killed, perhaps by the kernel for lack of memory (see dmesg); run it again"
    : "the server's log may say more";
