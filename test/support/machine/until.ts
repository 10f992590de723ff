/**
 * Waits until `condition` gives something true, and returns that. Looks every 20 ms; the limit (default 120 s) is there to
 * end a test that hangs, not to time it.
 */
export async function until<T>(what: string, condition: () => T | Promise<T>, limitMs = 120_000): Promise<T> {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${limitMs / 1000} s in vain: ${what}`);
    await Bun.sleep(20);
  }
}
