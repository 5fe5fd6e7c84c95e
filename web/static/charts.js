// Line charts in the page's colours. They keep the zoom when data is added.
// The chart library is big, so it is loaded with the first chart.

import { byId, element } from "./dom.js";

//: The style sheet that the library adds its rules to, since the content security policy forbids inline styles.
const RULES = "plotly.js-style-global";
//: If an element with this id exists, the library does not add the rules for maps.
const MAP_RULES = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";
const MARGIN = { l: 48, r: 12, t: 10, b: 40 };
//: Of an axis of counts. Below four, the ticks would be fractions.
const COUNTS = { rangemode: "nonnegative", autorangeoptions: { include: 4 } };
const OPTIONS = { displayModeBar: false, responsive: true, doubleClick: "reset" };
//: Line styles. They differ in more than colour.
const LINES = {
  first: { color: "--accent", dash: "solid", width: 2, symbol: "circle" },
  second: { color: "--second", dash: "dash", width: 2, symbol: "diamond" },
  ideal: { color: "--muted", dash: "dot", width: 1.5, symbol: "circle" },
};

let library = null;

/** @typedef {{name: string, line: "first" | "second" | "ideal", marks: boolean, x: number[], y: (number | null)[]}} Line */

/** One chart in the element `<id>-area`. The button `<id>-whole` resets the zoom. */
export class Chart {
  /** @param {string} id @param {{x: string, y: string, xFormat?: string, yFormat: string, xRange?: number[], yRange?: number[], yLimits?: number[], counts?: boolean}} axes
   *  `yLimits`: the axis does not go below the first or above the second; `counts`: it begins at zero, and its ticks are whole numbers */
  constructor(id, axes) {
    Object.assign(this, { area: byId(`${id}-area`), button: byId(`${id}-whole`), axes, lines: null, drawing: null });
    this.button.addEventListener("click", () => this.#showWhole());
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.lines && this.show(this.lines));
  }

  /** Replace the lines, keeping the zoom. @param {Line[]} lines */
  async show(lines) {
    this.lines = lines;
    if (this.drawing) return this.drawing; // which draws the latest lines
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

function layoutOf({ x, y, xFormat, yFormat, xRange, yRange, yLimits, counts }, colours) {
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
    // On a touch screen, dragging scrolls the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: { ...axis, title: { text: x }, rangemode: "tozero", hoverformat: xFormat ?? ".2f", tickformat: xFormat, ...(xRange ? { range: [...xRange] } : {}) },
    yaxis: { ...axis, tickformat: yFormat, hoverformat: yFormat, title: { text: y }, ...(counts ? COUNTS : {}), ...(yLimits ? { autorangeoptions: { clipmin: yLimits[0], clipmax: yLimits[1] } } : {}), ...(yRange ? { range: [...yRange] } : {}) },
  };
}
