"""One file a subject; `ALL` is the table of the README in its order."""

from subjects import (
    actions_restore,
    actions_save,
    bucket_again,
    bucket_lookup,
    bucket_restore,
    bucket_save,
    ccache_put,
    evict,
    get_small,
    open_store,
    put_small,
    restore_damaged,
    restore_empty,
    save_bump,
    save_first,
    save_unchanged,
)

ALL = [
    save_unchanged.SUBJECT,
    save_bump.SUBJECT,
    save_first.SUBJECT,
    restore_empty.SUBJECT,
    restore_damaged.SUBJECT,
    get_small.SUBJECT,
    put_small.SUBJECT,
    ccache_put.SUBJECT,
    open_store.SUBJECT,
    evict.SUBJECT,
    bucket_save.SUBJECT,
    bucket_restore.SUBJECT,
    bucket_again.SUBJECT,
    actions_save.SUBJECT,
    actions_restore.SUBJECT,
    bucket_lookup.SUBJECT,
]
