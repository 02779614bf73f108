"use strict";
// Shows the plots of the page by Bokeh. Without it, or where it fails, the static figures stay.
(async () => {
  if (!document.getElementById("plots") || typeof DecompressionStream === "undefined") return;

  const inflate = (id) => {
    const packed = atob(document.getElementById(id).textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  };
  const [library, text] = await Promise.all([inflate("bokeh"), inflate("plots")]);
  const script = document.createElement("script");
  script.textContent = library;
  document.head.append(script);
  Bokeh.set_log_level("error");
  const stored = JSON.parse(text);
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const show = async (figure) => {
    const { items, recolouring } = stored[figure.dataset.plots];
    const places = [...figure.querySelectorAll(".plot")];
    const points = [];
    for (const [index, item] of items.entries()) {
      let words = JSON.stringify(item);
      if (dark.matches) words = words.replace(/"#[0-9a-f]{6}"/g, (c) => `"${recolouring[c.slice(1, -1)] ?? c.slice(1, -1)}"`);
      places[index].replaceChildren();
      await Bokeh.embed.embed_item(JSON.parse(words), places[index]);
      const [plot] = Bokeh.documents.at(-1).roots();
      for (const { data_source: source } of [...plot.renderers].reverse()) {
        const told = source.columns().includes("told") ? source.get("told") : [];
        told.forEach((said, at) => points.push({ source, at, said }));
      }
    }
    connect(figure, points);
  };

  const connect = (figure, points) => {
    const output = figure.querySelector("output");
    let at = -1;
    const step = (by) => {
      if (!points.length) return;
      at = at < 0 ? (by > 0 ? 0 : points.length - 1) : (at + by + points.length) % points.length;
      for (const { source } of points) if (source.selected.indices.length) source.selected.indices = [];
      points[at].source.selected.indices = [points[at].at];
      output.textContent = points[at].said;
    };
    figure.querySelectorAll("[data-step]").forEach((button) => {
      button.onclick = () => step(Number(button.dataset.step));
      button.onkeydown = (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (by) { event.preventDefault(); step(by); }
      };
    });
  };

  const figures = [...document.querySelectorAll("[data-plots]")];
  const showAll = async () => { for (const figure of figures) await show(figure); };
  document.documentElement.classList.add("live");
  try {
    await showAll();
  } catch (broken) {
    document.documentElement.classList.remove("live");
    throw broken;
  }
  document.documentElement.dataset.shown = String(figures.length);
  dark.addEventListener("change", showAll);
})();

// A printed page has everything in it.
addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((one) => { one.open = true; one.dataset.shut = ""; }));
addEventListener("afterprint", () => document.querySelectorAll("details[data-shut]").forEach((one) => { one.open = false; delete one.dataset.shut; }));
