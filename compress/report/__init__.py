"""A run as rows: `report.json` for programs, `report.md` for people, a page for a browser, a table for the terminal."""
