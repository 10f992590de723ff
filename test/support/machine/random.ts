/** Chance that can be repeated: the seed is printed, and `FAULTS_SEED` sets it. */
export interface Chance {
  seed: number;
  /** At least 0, less than 1. */
  next(): number;
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number;
  pick<T>(all: readonly [T, ...T[]]): T;
}

/** mulberry32 (Tommy Ettinger, public domain): small, and good enough to choose moments. */
export function chance(what: string, seed = Number(process.env.FAULTS_SEED ?? Date.now() % 1_000_000_007)): Chance {
  console.log(`${what}: FAULTS_SEED=${seed}`);
  let state = seed | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return { seed, next, below, pick: (all) => all[below(all.length)] ?? all[0] };
}
