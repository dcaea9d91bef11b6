"""One file a version, in their order; a version that was released is never changed."""
