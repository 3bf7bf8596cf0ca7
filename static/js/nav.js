// The sidebar: beside the page on wide screens, over it on narrow ones. The button [data-nav-toggle] shows and hides it.
const wide = matchMedia("(min-width: 75rem)");
const sidebar = document.getElementById("sidebar");
const toggle = document.querySelector("[data-nav-toggle]");

function show(open) {
  sidebar.classList.toggle("pf-m-expanded", open);
  sidebar.classList.toggle("pf-m-collapsed", !open);
  sidebar.inert = !open;
  toggle.setAttribute("aria-expanded", String(open));
}

if (sidebar && toggle) {
  show(wide.matches);
  wide.addEventListener("change", () => show(wide.matches));
  toggle.addEventListener("click", () => show(toggle.getAttribute("aria-expanded") !== "true"));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || wide.matches || sidebar.inert) return;
    if (sidebar.contains(document.activeElement)) toggle.focus();
    show(false);
  });
}
