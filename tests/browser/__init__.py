"""The browser on the whole product; a package, so that its stack and its event loop end with the last of them."""
