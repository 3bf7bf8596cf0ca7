// A setting that may follow the portal's default: [data-default-of="id"] is the box that says so. Ticking it shows the
// default's value (data-default-value) in the control; touching the control unticks it; emptying a text box ticks it.
const controlOf = (box) => document.getElementById(box.dataset.defaultOf);
const boxOf = (control) => control.id && document.querySelector(`[data-default-of="${control.id}"]`);

document.addEventListener("input", ({ target }) => {
  if (target.matches?.("[data-default-of]")) {
    const control = controlOf(target);
    if (!target.checked) {
      if (control.type !== "checkbox") control.focus();
    } else if (control.type === "checkbox") {
      control.checked = Boolean(target.dataset.defaultValue);
    } else {
      control.value = target.dataset.defaultValue;
    }
    return;
  }
  const box = target.id && boxOf(target);
  if (box) box.checked = target.type !== "checkbox" && target.value.trim() === "";
});
