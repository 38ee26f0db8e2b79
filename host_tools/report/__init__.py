"""Results of any targets side by side: in the terminal, as Markdown, as one HTML file."""
