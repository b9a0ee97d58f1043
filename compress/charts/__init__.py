"""Charts as SVG, by Altair (Vega-Lite) without a browser: what several rooms draw. It needs the extra `report`."""
