// Line charts in the page's colours, which grow without losing the part that somebody looks at.
// The chart library is big, so it is loaded when the first chart is drawn.

import { byId, element } from "./dom.js";

//: Where the library keeps its rules: a style sheet of ours, since the page's policy forbids it one of its own.
const RULES = "plotly.js-style-global";
//: The element that the library looks for before it adds the rules of maps, which nobody needs here.
const MAP_RULES = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";
const MARGIN = { l: 48, r: 12, t: 10, b: 40 };
const OPTIONS = { displayModeBar: false, responsive: true, doubleClick: "reset" };
//: How each kind of line is drawn; they differ in more than the colour.
const LINES = {
  first: { color: "--accent", dash: "solid", width: 2, symbol: "circle" },
  second: { color: "--second", dash: "dash", width: 2, symbol: "diamond" },
  ideal: { color: "--muted", dash: "dot", width: 1.5, symbol: "circle" },
};

let library = null;

/** @typedef {{name: string, line: "first" | "second" | "ideal", marks: boolean, x: number[], y: (number | null)[]}} Line */

/** One chart in the elements `<id>-area` and `<id>-whole`, the button that shows the whole again. */
export class Chart {
  /** @param {string} id @param {{x: string, y: string, xFormat?: string, yFormat: string, xRange?: number[], yRange?: number[], counts?: boolean}} axes
   *  `counts`: nothing is below zero, and the axis begins there */
  constructor(id, axes) {
    Object.assign(this, { area: byId(`${id}-area`), button: byId(`${id}-whole`), axes, lines: null, drawing: null });
    this.button.addEventListener("click", () => this.#showWhole());
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.lines && this.show(this.lines));
  }

  /** Draw these lines instead of those before; the part that is looked at stays. @param {Line[]} lines */
  async show(lines) {
    this.lines = lines;
    if (this.drawing) return this.drawing; // it draws the newest
    this.drawing = this.#draw();
    try {
      await this.drawing;
    } finally {
      this.drawing = null;
    }
    return undefined;
  }

  async #draw() {
    const plotly = await load();
    const colours = getComputedStyle(document.documentElement);
    const first = !this.area.layout;
    await plotly.react(this.area, this.lines.map((line) => traceOf(line, colours)), layoutOf(this.axes, colours), OPTIONS);
    if (first) this.area.on("plotly_relayout", () => this.#showButton());
  }

  #showButton() {
    const { xaxis, yaxis } = this.area.layout;
    this.button.hidden = whole(xaxis, this.axes.xRange) && whole(yaxis, this.axes.yRange);
  }

  #showWhole() {
    const { xRange, yRange } = this.axes;
    this.button.hidden = true;
    globalThis.Plotly.relayout(this.area, { ...toWhole("xaxis", xRange), ...toWhole("yaxis", yRange) });
    this.area.scrollIntoView({ block: "nearest" });
  }
}

const whole = (axis, range) => (range ? axis.range.every((end, index) => end === range[index]) : axis.autorange !== false);
const toWhole = (axis, range) => (range ? { [`${axis}.range`]: [...range] } : { [`${axis}.autorange`]: true });

function load() {
  library ??= new Promise((resolve, reject) => {
    const script = element("script", { src: byId(RULES).dataset.library });
    script.addEventListener("load", () => resolve(globalThis.Plotly));
    script.addEventListener("error", () => reject(new Error("The chart library could not be loaded.")));
    document.head.append(element("meta", { id: MAP_RULES }), script);
  });
  return library;
}

function traceOf({ name, line, marks, x, y }, colours) {
  const { color, dash, width, symbol } = LINES[line];
  const drawn = colours.getPropertyValue(color).trim();
  const mode = marks ? "lines+markers" : "lines";
  const hover = { hoverinfo: line === "ideal" ? "skip" : "all" };
  return { name, x, y, mode, line: { color: drawn, dash, width }, marker: { color: drawn, symbol, size: 7 }, connectgaps: true, ...hover };
}

function layoutOf({ x, y, xFormat, yFormat, xRange, yRange, counts }, colours) {
  const colour = (name) => colours.getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, automargin: true };
  return {
    uirevision: "kept",
    margin: MARGIN,
    showlegend: false,
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: "system-ui, sans-serif", size: 12, color: colour("--muted") },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour("--raised"), bordercolor: colour("--line"), font: { color: colour("--text") } },
    // A finger that moves over a chart scrolls the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: { ...axis, title: { text: x }, rangemode: "tozero", hoverformat: xFormat ?? ".2f", tickformat: xFormat, ...(xRange ? { range: [...xRange] } : {}) },
    yaxis: { ...axis, tickformat: yFormat, hoverformat: yFormat, title: { text: y }, rangemode: counts ? "nonnegative" : "normal", ...(yRange ? { range: [...yRange] } : {}) },
  };
}
