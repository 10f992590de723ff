/** The page's style: light and dark, phone and paper. State is never told by colour alone: the bars differ in height. */
export const style = `
:root { --text: #1b1f24; --soft: #59636e; --line: #d1d9e0; --ground: #fff; --box: #f6f8fa; --good: #1a7f37; --warning: #9a6700; --missing: #cf222e; --chart: #0969da }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --soft: #9198a1; --line: #3d444d; --ground: #0d1117; --box: #151b23; --good: #3fb950; --warning: #d29922; --missing: #f85149; --chart: #4493f8 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; print-color-adjust: exact; -webkit-print-color-adjust: exact }
main { max-width: 64rem; margin: auto; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.2rem; margin: 0 } p { margin: .4rem 0 } small { color: var(--soft) }
section { border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin: 1rem 0; break-inside: avoid }
.box { background: var(--box); border-left: .3rem solid var(--line); padding: .5rem .8rem; margin: .6rem 0 }
.box.good { border-color: var(--good) } .box.warning { border-color: var(--warning) } .box.missing { border-color: var(--missing) }
b.warning, td.warning { color: var(--warning) } b.missing, td.missing { color: var(--missing) }
.strip { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 1px; align-items: end; height: 2.5rem; margin-top: .6rem }
i { display: block; height: 70%; background: var(--good); border-radius: 1px; position: relative }
i.warning { background: var(--warning); height: 45% } i.missing { background: var(--missing); height: 20% } i.none { background: var(--line); height: 2px }
i.proved::before { content: ""; position: absolute; left: 0; right: 0; bottom: calc(100% + 2px); height: 4px; background: var(--chart) }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem } .legend span { display: flex; align-items: end; gap: .4rem; height: 1.6rem }
.legend i { width: .5rem; margin-bottom: .35rem; height: .8rem } .legend i.warning { height: .5rem } .legend i.missing { height: .25rem } .legend i.none { height: 2px }
.ends { display: flex; justify-content: space-between; margin: 0 }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1rem; margin: .8rem 0 }
figure { margin: 0; min-width: 0 } svg { overflow: visible; display: block; width: 100%; height: 4rem }
svg * { fill: none; stroke: var(--chart); stroke-width: 2; vector-effect: non-scaling-stroke; stroke-linecap: round; stroke-linejoin: round }
svg .ground { stroke: var(--line); stroke-width: 1 } svg .dot { stroke-width: 7 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; width: 100% } th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); font-weight: normal; font-variant-numeric: tabular-nums }
thead th { color: var(--soft) } .name { font-family: ui-monospace, monospace; font-size: .85em } .wide .name { white-space: nowrap } th { white-space: nowrap } ul { margin: 0; padding-left: 1.2rem }
`;
