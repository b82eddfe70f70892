// Colours of the charts, which are those of the style sheet, and what all charts have in common.

const dark = matchMedia('(prefers-color-scheme: dark)');

export function onChange(act) {
  dark.addEventListener('change', act);
}

/** A colour of the style sheet by its name. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name.replace('_', '-')}`).trim();
}

/** No buttons of Plotly's own: the page has its own, which can be reached with the keyboard. */
export const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: true, doubleClick: false, showTips: false };

export function layout(more) {
  return {
    paper_bgcolor: colour('panel'),
    plot_bgcolor: colour('panel'),
    font: { color: colour('text'), family: 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif', size: 12 },
    hoverlabel: {
      bgcolor: colour('panel'), bordercolor: colour('soft'), align: 'left', namelength: -1,
      font: { color: colour('text'), size: 12 },
    },
    showlegend: false,
    ...more,
  };
}

export function axis(more) {
  return { gridcolor: colour('grid'), linecolor: colour('line'), zerolinecolor: colour('grid'), tickcolor: colour('line'), ...more };
}

/** Text from elsewhere, as Plotly's labels show it unchanged. */
export function plain(text) {
  return String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
