"""What has to be true of every screen, in words where it is not."""

from __future__ import annotations

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

#: Moves focus over everything that takes it by Tab, and returns what looks the same with and without.
_WITHOUT_FOCUS = """() => {
  const within = document.querySelector("dialog[open]") ?? document;
  const look = (element) => {
    const seen = [];
    for (let each = element; each && seen.length < 3; each = each.parentElement) {
      const { outlineStyle, outlineWidth, outlineColor, boxShadow } = getComputedStyle(each);
      seen.push(outlineStyle === "none" ? "none" : `${outlineStyle} ${outlineWidth} ${outlineColor}`, boxShadow);
    }
    return seen.join("|");
  };
  const before = document.activeElement;
  const dull = [];
  for (const each of within.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")) {
    if (each.disabled || each.type === "hidden" || each.tabIndex < 0 || each.closest("[inert]")) continue;
    if (!each.checkVisibility({ visibilityProperty: true })) continue;
    document.activeElement?.blur();
    const plain = look(each);
    each.focus({ preventScroll: true });
    if (document.activeElement === each && look(each) === plain) dull.push(each.outerHTML.slice(0, 120));
  }
  before?.focus?.({ preventScroll: true });
  return dull;
}"""
#: What is wider than the part of the page that it stands in. Tables may be moved sideways in a frame of their own, but
#: not where their rows are cards.
_TOO_WIDE = """() => [".pf-v6-c-page__main", ".pf-v6-c-modal-box__body", ".portal-table-scroll:has(> .portal-table)"]
  .filter((selector) => innerWidth <= 768 || !selector.startsWith(".portal-table"))
  .flatMap((selector) => [...document.querySelectorAll(selector)])
  .concat(document.documentElement)
  .filter((each) => each.checkVisibility() && each.scrollWidth > each.clientWidth)
  .map((each) => `${each.className || each.tagName}: ${each.scrollWidth} > ${each.clientWidth}`)"""

#: Waits until the window has a width and the page was laid out in it.
_UNTIL_LAID_OUT = """async (width) => {
  while (innerWidth !== width) await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
}"""

_axe = Axe()


def settled(page: Page) -> None:
    """Wait until the page is drawn in the colours of its theme."""
    expect(page.locator("html")).not_to_have_class(re.compile("portal-theme-changes"))


def accessibility(page: Page) -> list[str]:
    """Return what axe finds."""
    violations = _axe.run(page).response["violations"]
    return [f"{each['id']}: {node['target']} {node['html'][:120]}" for each in violations for node in each["nodes"]]


def focus(page: Page) -> list[str]:
    """Return what takes focus by Tab and does not show it."""
    page.keyboard.press("Shift")  # from now on the keyboard is what is used
    return [f"no visible focus: {each}" for each in page.evaluate(_WITHOUT_FOCUS)]


def width(page: Page, pixels: int) -> list[str]:
    """Return what would have to be moved sideways at a width."""
    size = page.viewport_size
    assert size is not None
    page.set_viewport_size({"width": pixels, "height": size["height"]})
    page.evaluate(_UNTIL_LAID_OUT, pixels)
    found = [f"at {pixels} px: {each}" for each in page.evaluate(_TOO_WIDE)]
    page.set_viewport_size(size)
    return found
