"""A run as rows: `report.json` for programs, `report.md` for people, a table for the terminal and one for README."""
