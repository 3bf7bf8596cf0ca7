// A link that narrows the list down, [data-search-term="tag=web"]: on the list itself it is added to what is searched
// for already; elsewhere, and without scripts, it leads to a list that is narrowed down by it alone.
document.addEventListener(
  "click",
  (event) => {
    const link = event.target.closest?.("a[data-search-term]");
    const here = new URL(location.href);
    if (!link || here.pathname !== new URL(link.href).pathname) return;
    const words = here.searchParams.get("filter") ?? "";
    const term = link.dataset.searchTerm;
    here.searchParams.set("filter", words.includes(term) ? words : `${words} ${term}`.trim());
    here.searchParams.delete("page");
    link.href = here.href;
  },
  { capture: true },
);
