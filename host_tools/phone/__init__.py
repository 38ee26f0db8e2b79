"""The model on a phone: the page it opens, the server behind it, and adb."""
