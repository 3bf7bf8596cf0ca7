// Entry: everything a page of the portal does in the browser. theme.js stands apart, it runs before the first paint.
import "./console.js";
import "./copy.js";
import "./countdown.js";
import "./dialog.js";
import "./live.js";
import "./menu.js";
import "./nav.js";
import "./policy.js";
import "./search.js";
import "./selection.js";
import "./shortcuts.js";
import "./toast.js";

// Only where something is drawn: uPlot is larger than all the rest.
if (document.getElementById("vm_charts")) import("./charts.js");
