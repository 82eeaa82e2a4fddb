// What every page of the panel runs: no build step, no network but this panel.
import "./events.js";
import "./themes.js";
import "./times.js";
import "./dialogs.js";
import "./jobs.js";
import "./live.js";
import "./list.js";
import "./keys.js";
