"""What a listener does with the page. Any test module can import it (pyproject.toml)."""


def status(page, text):
    page.locator("#status").get_by_text(text).wait_for()


def give(page, *files):
    page.locator("#file").set_input_files(list(files))
    status(page, "Ready to encode")


def encode(page, bitrate=None):
    """Encode what was given, at the bitrate of that place on the slider."""
    if bitrate is not None:
        page.get_by_role("slider", name="Bitrate").fill(str(bitrate))
    page.get_by_role("button", name="Encode and listen").click()
    status(page, "Encoded to")
