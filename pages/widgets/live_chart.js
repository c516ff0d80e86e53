// The library is asked for once a page, whatever number of charts it has; anew where it did not come.
function library(address) {
  window.veritrainPlotly ??= new Promise((ok, bad) => {
    const failed = () => { window.veritrainPlotly = undefined; bad(); };
    document.head.append(element("script", { src: address, onload: () => ok(window.Plotly), onerror: failed }));
  });
  return window.veritrainPlotly;
}

const BUTTONS = [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]];

// The page's colours and font, where the figure says none.
function themed(layout, root) {
  const style = getComputedStyle(root);
  const color = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const text = color("text-color");
  const line = color("border-color");
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line, automargin: true };
  const made = {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: color("font"), color: text, size: 12, ...layout.font },
    hoverlabel: { bgcolor: color("background-color"), bordercolor: line, font: { color: text } },
    modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: text, activecolor: color("primary-color") },
  };
  if (layout.title) made.title = { ...layout.title, x: 0, xanchor: "left", xref: "container" };
  for (const name of ["xaxis", "yaxis"]) made[name] = { ...axis, ...layout[name] };
  return made;
}

class Chart {
  constructor(root) {
    this.root = root;
    this.place = element("div", { class: "live-chart", role: "figure" });
    root.replaceChildren(this.place);
    // One that is not seen, or is just taken away, has no width to go by.
    new ResizeObserver(() => { if (this.drawn && this.place.offsetWidth) window.Plotly.Plots.resize(this.place); }).observe(root);
  }

  async draw({ figure, library: address, title }) {
    if (figure === this.figure) return;
    this.figure = figure;
    this.place.setAttribute("aria-label", title);
    const { data, layout } = JSON.parse(figure);
    this.place.style.minHeight = `${layout.height}px`;
    const plotly = await library(address).catch(() => undefined); // the next figure tries again
    if (!plotly || figure !== this.figure) return; // or a newer one came meanwhile
    await plotly.react(this.place, data, themed(layout, this.root), { displaylogo: false, modeBarButtons: BUTTONS });
    this.drawn = true;
  }
}

export default function (component) {
  const root = component.parentElement.querySelector(".root");
  root.chart ??= new Chart(root);
  root.chart.draw(component.data);
}
