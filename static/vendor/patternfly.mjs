// Picks from PatternFly what the portal uses and prints one stylesheet: named components, no unused theme, no
// per-breakpoint modifiers, no custom property that nothing reads. Run by build.sh.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import postcss from "postcss";

const [source, ...readers] = process.argv.slice(2);

// The order is the cascade's: base, layouts, components, utilities.
const FILES = `
  base/patternfly-variables base/patternfly-fonts base/patternfly-common base/patternfly-svg-icons
  layouts/Bullseye/bullseye layouts/Stack/stack layouts/Split/split layouts/Level/level layouts/Gallery/gallery
  components/Page/page components/Masthead/masthead components/Brand/brand components/Nav/nav
  components/SkipToContent/skip-to-content components/Toolbar/toolbar components/Table/table
  components/Table/table-grid components/Button/button components/Menu/menu 
  components/ModalBox/modal-box components/Form/form components/FormControl/form-control components/Check/check
  components/Radio/radio components/Switch/switch components/InputGroup/input-group
  components/NumberInput/number-input components/HelperText/helper-text
  components/Label/label components/Label/label-group components/Badge/badge components/Alert/alert
  components/Banner/banner components/Progress/progress components/Spinner/spinner
  components/Skeleton/skeleton components/DescriptionList/description-list components/EmptyState/empty-state
  components/Login/login components/Breadcrumb/breadcrumb components/Tabs/tabs components/Tooltip/tooltip
  components/Popover/popover components/Title/title components/Content/content components/Card/card
  components/List/list components/Pagination/pagination components/ProgressStepper/progress-stepper
  components/Divider/divider components/ActionList/action-list
  components/CodeBlock/code-block components/Timestamp/timestamp utilities/Accessibility/accessibility
`.trim().split(/\s+/);

// Selectors the portal never matches: other themes, modifiers bound to a breakpoint (our own rules live in
// portal.css), and PatternFly parts that need its React scripts.
const UNUSED = [
  /theme-(felt|glass|high-contrast)/,
  /\.pf-m-[a-z0-9-]*-on-(sm|md|lg|xl|2xl)(-height)?\b/,
  /\.pf-m-(grid|expandable|nowrap|wrap|truncate|break-word|fit-content|width-\d+|width-min|width-max|height)-(sm|lg|xl|2xl)\b/,
  /\.pf-m-grid-(lg|xl|2xl)\b|\.pf-m-tree-view/,
  /\.pf-m-(column|row)-gap|\.pf-m-(gap|space-items|spacer)-/,
  /pf-m-(docked|offstage|display-(lg|stack)|split-button|vertical|horizontal|drilldown|flyout|search-expandable|action|animate|resize-observer|text-expanded|sticky|nested-column-header|expand|hamburger|center|help-text|selectable|clickable|editable|overflow|add|scrollable|stateful|notify|attention|circle|tall|favorite|block|in-progress|typeahead|full-height|full-page|secondary\.pf-m-(sticky|inset)|settings|show-|hidden|visible|toggle-group|static|inline-edit|box|fill|subtab|striped|hoverable|tree|no-plain|no-overflow|horizontal-subnav|dark|light|shadow|limit-width)/,
  /c-table__(tree|compound|favorite|expandable|control-row|nested|draggable|inline-edit|subhead|button)|c-(button|nav|card|tabs|menu|toolbar|form|page|login|masthead)__(expand|toggle|favorite|search|flyout|drilldown|scroll|subnav|sublist|dock|selectable|field-group|overflow|add|close-|footer-link|sticky|expandable|settings|hamburger|progress-count)/,
  /c-button--hamburger|c-toolbar__filter|c-button__(count)|theme-.*felt|c-(menu-toggle|text-input-group|date-picker|calendar|panel|code-block__action|truncate|jump-links|overflow-menu|expandable-section|clipboard|tree-view|toggle-group|context-selector|dropdown|simple-list|background-image|avatar|number-input__unit)\b/,
  /ai-indicator|thinking|legacy-font|no-motion/,
  /c-(compass|drawer|notification-drawer|chart|hero|data-list|wizard|dual-list|code-editor)\b/,
];
// Design tokens portal.css may come to use without a rebuild.
const KEPT_TOKENS = /^--pf-t--global--(?!.*(high-contrast|glass|sticky|legacy|inverse|plain))(text--color--(regular|subtle|link|status|disabled|brand|required)|background--color--(primary|secondary|floating|action|disabled)|border--(color|radius|width)|icon--(color|size)|spacer--(xs|sm|md|lg|xl|2xl|3xl)|font--(size--(body|heading|xs|sm|md|lg)|weight|family|line-height)|box-shadow--(sm|md|lg)$|color--(status|brand)|z-index)/;

// The element rules (reset) are only shipped as the head of a larger file.
const globals = readFileSync(join(source, "patternfly-base.css"), "utf8");
const rest = readFileSync(join(source, "patternfly-base-no-globals.css"), "utf8");
if (!globals.endsWith(rest)) throw new Error("patternfly-base.css is no longer its global rules followed by the rest");
const css = globals.slice(0, -rest.length) + FILES.map((name) => readFileSync(join(source, `${name}.css`), "utf8")).join("\n");
const root = postcss.parse(css);

root.walkRules((rule) => {
  if (rule.parent.type === "atrule" && rule.parent.name.endsWith("keyframes")) return;
  const kept = rule.selectors.filter((selector) => !UNUSED.some((pattern) => pattern.test(selector)));
  if (kept.length === 0) rule.remove();
  else rule.selectors = kept;
});
root.walkAtRules("font-face", (face) => {
  if (/italic/i.test(face.toString())) face.remove();
});
root.walkDecls("src", (decl) => {
  decl.value = decl.value.replace(/\.\/assets\/fonts\/[^/]+\//, "fonts/").replace("woff2-variations", "woff2");
});

// Images of themes we do not use.
root.walkDecls(/^--/, (decl) => {
  if (/url\(/.test(decl.value)) decl.remove();
});

// Drop custom properties nobody reads, until nothing changes: dropping one may leave others unread.
const outside = readers.map((file) => readFileSync(file, "utf8")).join("\n");
const names = (text) => [...text.matchAll(/var\(\s*(--[\w-]+)/g)].map((match) => match[1]);
for (let dropped = true; dropped; ) {
  dropped = false;
  const read = new Set(names(outside));
  root.walkDecls((decl) => names(decl.value).forEach((name) => read.add(name)));
  root.walkDecls(/^--/, (decl) => {
    if (read.has(decl.prop) || KEPT_TOKENS.test(decl.prop)) return;
    decl.remove();
    dropped = true;
  });
}
const prune = (node) => {
  node.each?.((child) => prune(child));
  if (node.type !== "root" && node.nodes && node.nodes.length === 0) node.remove();
};
prune(root);
root.walkComments((comment) => comment.remove());

process.stdout.write(`/*! PatternFly ${JSON.parse(readFileSync(join(source, "package.json"), "utf8")).version}, MIT */\n${root}`);
