"""Names of the temporary folders for new versions, so that leftovers of killed processes can be deleted."""

#: Prefixes of the folders for imports, and for the versions that trainings publish.
IMPORT_PREFIX, PUBLISH_PREFIX = "import-", "publish-"
