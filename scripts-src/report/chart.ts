/** A line over the days, as SVG. */
import { html, type Html } from "../base/html.ts";
import type { Day } from "./facts.ts";

const size = { width: 300, height: 60, edge: 3 };

/** A figure with its first, last and largest value as text; undefined without values. */
export function chart(
  title: string,
  days: readonly Day[],
  valueOf: (day: Day) => number | undefined,
  text: (value: number) => string,
): Html | undefined {
  const points = days.flatMap((day, at) => {
    const value = valueOf(day);
    return value === undefined ? [] : [{ at, value, day: day.day }];
  });
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return undefined;
  const most = Math.max(...points.map(({ value }) => value));
  const x = (at: number) => size.edge + (at / Math.max(1, days.length - 1)) * (size.width - 2 * size.edge);
  const y = (value: number) => size.height - size.edge - (value / (most || 1)) * (size.height - 2 * size.edge);
  const path = points.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const words = `from ${text(first.value)} (${first.day}) to ${text(last.value)}, at most ${text(most)}`;
  return html`<figure>
    <figcaption>${title}: <b>${text(last.value)}</b></figcaption>
    <svg
      viewBox="0 0 ${size.width} ${size.height}"
      role="img"
      aria-label="${title}: ${words}"
      preserveAspectRatio="none"
    >
      <path class="ground" d="M0 ${size.height - 1}H${size.width}" />
      <polyline points="${path}" />
      <path class="dot" d="M${x(last.at).toFixed(1)} ${y(last.value).toFixed(1)}h0" />
    </svg>
    <small>${words}</small>
  </figure>`;
}
