"""Names of the temporary folders for new versions and exports, so that leftovers of killed processes can be deleted."""

#: Prefixes of the folders for imports, for the versions that trainings publish, and for exports.
IMPORT_PREFIX, PUBLISH_PREFIX, EXPORT_PREFIX = "import-", "publish-", "export-"
