"use strict";
// Draws the plots of the page by Bokeh, a figure when it is scrolled near or the keyboard reaches it.
// Its place has the size of its plots before they are drawn, so that nothing moves. Without this
// script, where it fails and on paper, the static figures are shown.
(() => {
  const figures = [...document.querySelectorAll("figure[data-plots]")];
  if (!figures.length || typeof DecompressionStream === "undefined") return;

  const inflate = (id) => {
    const packed = atob(document.getElementById(id).textContent);
    const bytes = new Uint8Array(packed.length);
    for (let at = 0; at < packed.length; at += 1) bytes[at] = packed.charCodeAt(at);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  };

  const load = async () => {
    const [library, text] = await Promise.all([inflate("bokeh"), inflate("plots")]);
    const script = document.createElement("script");
    script.textContent = library;
    document.head.append(script);
    Bokeh.set_log_level("error");
    return JSON.parse(text);
  };
  let loaded = null;
  const stored = () => (loaded ??= load());
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const show = async (figure) => {
    const { items, recolouring } = (await stored())[figure.dataset.plots];
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

  // --- which figure is drawn when ---------------------------------------------------------
  const wanted = new Set(); // near and not drawn yet, or drawn in the colours of the other theme
  const drawn = new Set();
  let drawing = false;
  const fromView = (figure) => {
    const { top, bottom } = figure.getBoundingClientRect();
    return Math.max(0, top - innerHeight, -bottom);
  };

  const draw = async () => {
    if (drawing) return;
    drawing = true;
    delete document.documentElement.dataset.shown; // there while nothing is being drawn
    while (wanted.size) {
      const figure = [...wanted].reduce((a, b) => (fromView(b) < fromView(a) ? b : a));
      wanted.delete(figure);
      drawn.add(figure);
      try {
        await show(figure);
        figure.dataset.drawn = "";
      } catch (broken) {
        figure.classList.remove("live");
        reportError(broken);
      }
      await new Promise((after) => setTimeout(after)); // a click or a key may come in between
    }
    drawing = false;
    document.documentElement.dataset.shown = String(document.querySelectorAll("[data-drawn]").length);
  };

  const want = (figure) => { if (!drawn.has(figure)) wanted.add(figure); };
  // the library is there before the first figure is scrolled to, if the browser has time
  addEventListener("load", () => globalThis.requestIdleCallback?.(stored));

  const near = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      if (isIntersecting) want(target); else if (!drawn.has(target)) wanted.delete(target);
    }
    draw();
  }, { rootMargin: "50% 0px" });
  for (const figure of figures) {
    figure.classList.add("live");
    near.observe(figure);
  }

  // the keyboard goes through the tools of every plot: around the focus they are there
  document.addEventListener("focusin", ({ target }) => {
    const follows = (figure) => target.compareDocumentPosition(figure) & Node.DOCUMENT_POSITION_FOLLOWING;
    const at = figures.findIndex(follows);
    for (const figure of figures.slice(at < 0 ? -2 : Math.max(0, at - 2), at < 0 ? undefined : at + 1)) want(figure);
    draw();
  });

  dark.addEventListener("change", () => {
    for (const figure of drawn) wanted.add(figure);
    draw();
  });
})();

// A printed page has everything in it.
addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((one) => { one.open = true; one.dataset.shut = ""; }));
addEventListener("afterprint", () => document.querySelectorAll("details[data-shut]").forEach((one) => { one.open = false; delete one.dataset.shut; }));
