"""What all charts share: axes, colours, words, and figures as files."""
