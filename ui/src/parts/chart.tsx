// A chart of a few series over a row of numbers: uPlot, in the page's own colours, told in words to who does not see it.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { theme } from "./top";

export interface Series {
  name: string;
  values: (number | null)[];
}

interface ChartProps {
  label: string;
  x: number[];
  series: Series[];
  /** True: the abscissa is time in seconds. */
  time?: boolean;
  stepped?: boolean;
  bars?: boolean;
  height?: number;
}

export function Chart(props: ChartProps) {
  const { x, series, height = 180 } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = `${series.map((one) => one.name).join("|")}|${theme.value}`;
  useEffect(() => {
    const host = box.current;
    if (host === null) return;
    const made = new uPlot(options(props, host), [x, ...series.map((one) => one.values)], host);
    plot.current = made;
    const sized = new ResizeObserver(() => made.setSize({ width: host.clientWidth, height }));
    sized.observe(host);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const repaint = (): void => made.redraw(false, true);
    dark.addEventListener("change", repaint);
    return () => {
      sized.disconnect();
      dark.removeEventListener("change", repaint);
      made.destroy();
    };
  }, [shape, height]);
  useEffect(() => plot.current?.setData([x, ...series.map((one) => one.values)]), [x, series]);
  return <div class="chart" ref={box} role="img" aria-label={props.label} />;
}

function options(props: ChartProps, host: HTMLElement): uPlot.Options {
  const colour = (name: string): string => getComputedStyle(host).getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: () => colour("--ink-3"),
    grid: { stroke: () => colour("--rule"), width: 1 },
    ticks: { show: false },
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
    size: 26,
  };
  const days: Partial<uPlot.Axis> = props.time ? { values: (_, splits) => splits.map((at) => new Date(at * 1000).toISOString().slice(5, 10)), space: 60 } : { values: (_, splits) => splits.map((at) => (Number.isInteger(at) ? String(at) : "")) };
  const money: uPlot.Axis = { ...axis, size: 62, values: (_, splits) => splits.map((value) => `$${value < 0.1 && value > 0 ? value.toFixed(4) : value.toFixed(2)}`) };
  const paths = props.bars ? uPlot.paths.bars?.({ size: [0.7, 40] }) : props.stepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  return {
    width: Math.max(120, host.clientWidth),
    height: props.height ?? 180,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: props.time ?? false, ...(props.bars ? { range: (_, min, max) => [min - 43_200, max + 43_200] as [number, number] } : {}) }, y: { range: (_, __, max) => [0, Math.max(max, 1e-6) * 1.08] } },
    axes: [{ ...axis, ...days }, money],
    series: [
      {},
      ...props.series.map((one, place) => ({
        label: one.name,
        stroke: () => colour(`--series-${(place % 6) + 1}`),
        fill: () => (props.bars ? colour(`--series-${(place % 6) + 1}`) : colour("--series-fill")),
        width: props.bars ? 0 : 1.5,
        points: { show: false },
        ...(paths === undefined ? {} : { paths }),
      })),
    ],
  };
}
