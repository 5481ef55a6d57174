"""Built models into the Android app: checked here, written as assets with their digests, `bundle.json` last."""
