/** What to do when the words of a client program explain nothing, by its exit status. */
export const unexplainedHint = (status: number): string =>
  status > 128
    ? "somebody killed it, or the kernel did for want of memory (dmesg tells); then run it again"
    : "the server's log may say more";
