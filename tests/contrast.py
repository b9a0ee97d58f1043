"""How readable the text of a page is, asked in the browser."""

from __future__ import annotations

# the least ratio of text to ground over all that is visible, by WCAG 2's formula; text of drawings has a fill
WEAKEST_CONTRAST = """() => {
    const linear = (x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    const luminance = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((x) => linear(x / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (e) => {
        const colour = getComputedStyle(e).backgroundColor;
        return colour === "rgba(0, 0, 0, 0)" ? ground(e.parentElement) : colour;
    };
    const ink = (e) => e instanceof SVGElement ? getComputedStyle(e).fill : getComputedStyle(e).color;
    const ratio = (e) => {
        const [light, dark] = [ink(e), ground(e)].map(luminance).sort((x, y) => y - x);
        return (light + 0.05) / (dark + 0.05);
    };
    const hasText = (e) => [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const texts = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && hasText(e));
    return Math.min(...texts.map(ratio));
}"""
