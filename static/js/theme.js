// The theme, before the first paint: a blocking script in the head. Choice ("light", "dark", "system") in localStorage,
// where pages without a person find it too; <html data-theme="…"> is what the person has chosen for all their browsers.
// [data-theme-toggle data-keep="URL"] keeps a new choice for the person.
(() => {
  const CHOICES = ["system", "light", "dark"];
  const root = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)");

  function choice() {
    try {
      const stored = localStorage.getItem("theme");
      return CHOICES.includes(stored) ? stored : "system";
    } catch {
      return root.dataset.theme || "system"; // storage is switched off
    }
  }

  function apply() {
    const chosen = choice();
    const dark = chosen === "dark" || (chosen === "system" && systemDark.matches);
    root.classList.add("portal-theme-changes");
    root.classList.toggle("pf-v6-theme-dark", dark);
    requestAnimationFrame(() => requestAnimationFrame(() => root.classList.remove("portal-theme-changes")));
    const frame = document.querySelector('meta[name="theme-color"]');
    if (frame) frame.content = dark ? frame.dataset.dark : frame.dataset.light;
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.setAttribute("aria-label", button.getAttribute(`data-label-${chosen}`));
      button.title = button.getAttribute(`data-label-${chosen}`);
      for (const icon of button.querySelectorAll("[data-theme-icon]")) icon.hidden = icon.dataset.themeIcon !== chosen;
    }
  }

  try {
    if (CHOICES.includes(root.dataset.theme)) localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // storage is switched off
  }
  apply();
  systemDark.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === "theme" && apply());
  document.addEventListener("DOMContentLoaded", apply);
  document.addEventListener("click", (event) => {
    const toggle = event.target.closest?.("[data-theme-toggle]");
    if (!toggle) return;
    const next = CHOICES[(CHOICES.indexOf(choice()) + 1) % CHOICES.length];
    const { keep } = toggle.dataset;
    if (keep) htmx.ajax("POST", keep, { source: toggle, values: { theme: next }, swap: "none" });
    try {
      localStorage.setItem("theme", next);
    } catch {
      root.classList.toggle("pf-v6-theme-dark"); // for this page only
      return;
    }
    apply();
  });
})();
