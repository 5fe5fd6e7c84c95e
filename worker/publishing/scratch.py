"""Names of the temporary folders in which versions are made, for what removes those of processes that were killed."""

#: What the name of a folder begins with in which a model is imported, and in which a training's version is made.
IMPORT_PREFIX, PUBLISH_PREFIX = "import-", "publish-"
