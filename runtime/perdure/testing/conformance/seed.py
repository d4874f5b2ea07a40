"""The tests that the engine we learned from has for its providers, and what became of each.

`python -m perdure.testing.conformance.seed > docs/seed-conformance.md` writes the table.
"""

from __future__ import annotations

import sys

from perdure.testing.conformance import CHECKS

__all__ = ["known_names", "table"]

_NAMES = {
    "atomicity": """
        atomicity_failure_rollback multi_operation_atomic_ack
        lock_released_only_on_successful_ack concurrent_ack_prevention
    """,
    "bulk_deletion": """
        delete_instance_bulk_filter_combinations delete_instance_bulk_safety_and_limits
        delete_instance_bulk_completed_before_filter delete_instance_bulk_cascades_to_children
    """,
    "cancellation": """
        fetch_returns_running_state_for_active_orchestration
        fetch_returns_terminal_state_when_orchestration_completed
        fetch_returns_terminal_state_when_orchestration_failed
        fetch_returns_terminal_state_when_orchestration_continued_as_new
        fetch_returns_missing_state_when_instance_deleted
        renew_returns_running_when_orchestration_active
        renew_returns_terminal_when_orchestration_completed
        renew_returns_missing_when_instance_deleted ack_work_item_none_deletes_without_enqueue
        cancelled_activities_deleted_from_worker_queue ack_work_item_fails_when_entry_deleted
        renew_fails_when_entry_deleted cancelling_nonexistent_activities_is_idempotent
        batch_cancellation_deletes_multiple_activities
        same_activity_in_worker_items_and_cancelled_is_noop
        orphan_activity_after_instance_force_deletion
    """,
    "capability_filtering": """
        fetch_with_filter_none_returns_any_item fetch_with_compatible_filter_returns_item
        fetch_with_incompatible_filter_skips_item
        fetch_filter_skips_incompatible_selects_compatible
        fetch_filter_does_not_lock_skipped_instances
        fetch_filter_null_pinned_version_always_compatible fetch_filter_boundary_versions
        pinned_version_stored_via_ack_metadata pinned_version_immutable_across_ack_cycles
        continue_as_new_execution_gets_own_pinned_version
        filter_with_empty_supported_versions_returns_nothing
        concurrent_filtered_fetch_no_double_lock ack_stores_pinned_version_via_metadata_update
        provider_updates_pinned_version_when_told fetch_corrupted_history_filtered_vs_unfiltered
        fetch_deserialization_error_increments_attempt_count
        fetch_deserialization_error_eventually_reaches_poison
        fetch_filter_applied_before_history_deserialization
        fetch_single_range_only_uses_first_range ack_appends_event_to_corrupted_history
    """,
    "custom_status": """
        custom_status_set custom_status_clear custom_status_none_preserves
        custom_status_version_increments custom_status_polling_no_change
        custom_status_nonexistent_instance custom_status_default_on_new_instance
    """,
    "deletion": """
        delete_terminal_instances delete_running_rejected_force_succeeds
        delete_nonexistent_instance delete_cleans_queues_and_locks cascade_delete_hierarchy
        force_delete_prevents_ack_recreation list_children delete_get_parent_id
        delete_get_instance_tree delete_instances_atomic delete_instances_atomic_force
        delete_instances_atomic_orphan_detection stale_activity_after_delete_recreate
    """,
    "error_handling": """
        invalid_lock_token_on_ack duplicate_event_id_rejection missing_instance_metadata
        corrupted_serialization_data lock_expiration_during_ack
    """,
    "instance_creation": """
        instance_creation_via_metadata no_instance_creation_on_enqueue null_version_handling
        sub_orchestration_instance_creation
    """,
    "instance_locking": """
        exclusive_instance_lock lock_token_uniqueness invalid_lock_token_rejection
        concurrent_instance_fetching completions_arriving_during_lock_blocked
        cross_instance_lock_isolation message_tagging_during_lock
        ack_only_affects_locked_messages multi_threaded_lock_contention
        multi_threaded_no_duplicate_processing multi_threaded_lock_expiration_recovery
    """,
    "kv_store": """
        kv_set_and_get kv_overwrite kv_clear_single kv_clear_all kv_get_nonexistent
        kv_snapshot_in_fetch kv_snapshot_after_clear_single kv_snapshot_after_clear_all
        kv_execution_id_tracking kv_cross_execution_overwrite kv_cross_execution_remove_readd
        kv_prune_preserves_overwritten kv_prune_preserves_all_keys
        kv_prune_current_execution_protected kv_instance_isolation kv_clear_isolation
        kv_delete_instance_cascades kv_delete_instance_with_children kv_clear_nonexistent_key
        kv_get_unknown_instance kv_set_after_clear kv_empty_value kv_large_value
        kv_special_chars_in_key kv_snapshot_empty kv_snapshot_cross_execution
        kv_delta_snapshot_excludes_current_execution
        kv_delta_snapshot_includes_completed_execution kv_delta_merged_on_can
        kv_delta_merged_on_completion kv_delta_client_reads_merged
        kv_delta_tombstone_overrides_store kv_delta_clear_all_tombstones_store
        kv_delta_delete_instance_cascades kv_delta_prune_untouched_key_survives
    """,
    "lock_expiration": """
        lock_expires_after_timeout abandon_releases_lock_immediately lock_renewal_on_ack
        concurrent_lock_attempts_respect_expiration worker_lock_renewal_success
        worker_lock_renewal_invalid_token worker_lock_renewal_after_expiration
        worker_lock_renewal_after_ack worker_lock_renewal_extends_timeout
        abandon_work_item_releases_lock abandon_work_item_with_delay
        worker_ack_fails_after_lock_expiry orchestration_lock_renewal_after_expiration
    """,
    "long_polling": """
        short_poll_returns_immediately short_poll_work_item_returns_immediately
        long_poll_waits_for_timeout long_poll_work_item_waits_for_timeout
        fetch_respects_timeout_upper_bound
    """,
    "management": """
        list_instances list_instances_by_status list_executions get_instance_info
        get_execution_info get_system_metrics get_queue_depths
    """,
    "multi_execution": """
        execution_isolation latest_execution_detection execution_id_sequencing
        continue_as_new_creates_new_execution execution_history_persistence
    """,
    "poison_message": """
        orchestration_attempt_count_starts_at_one
        orchestration_attempt_count_increments_on_refetch worker_attempt_count_starts_at_one
        worker_attempt_count_increments_on_lock_expiry attempt_count_is_per_message
        abandon_work_item_ignore_attempt_decrements
        abandon_orchestration_item_ignore_attempt_decrements ignore_attempt_never_goes_negative
        max_attempt_count_across_message_batch
    """,
    "prune": """
        prune_options_combinations prune_safety prune_bulk prune_bulk_includes_running_instances
    """,
    "queue_semantics": """
        worker_queue_fifo_ordering worker_peek_lock_semantics worker_ack_atomicity
        timer_delayed_visibility lost_lock_token_handling worker_item_immediate_visibility
        worker_delayed_visibility_skips_future_items orphan_queue_messages_dropped
    """,
    "sessions": """
        non_session_items_fetchable_by_any_worker non_session_items_returned_with_session_config
        session_item_claimable_when_no_session session_affinity_same_worker
        session_affinity_blocks_other_worker different_sessions_different_workers
        mixed_session_and_non_session_items session_claimable_after_lock_expiry
        session_takeover_after_lock_expiry none_session_skips_session_items
        some_session_returns_all_items renew_session_lock_active renew_session_lock_skips_idle
        renew_session_lock_no_sessions renew_session_lock_after_expiry_returns_zero
        cleanup_removes_expired_no_items cleanup_keeps_sessions_with_pending_items
        cleanup_keeps_active_sessions ack_updates_session_last_activity
        renew_work_item_updates_session_last_activity session_items_processed_in_order
        shared_worker_id_any_caller_can_fetch_owned_session
        concurrent_session_claim_only_one_wins cleanup_then_new_item_recreates_session
        abandoned_session_item_retryable abandoned_session_item_ignore_attempt
        original_worker_reclaims_expired_session session_lock_expires_same_worker_reacquires
        activity_lock_expires_session_lock_valid_same_worker_refetches
        session_lock_expires_new_owner_gets_redelivery both_locks_expire_different_worker_claims
        session_lock_expires_activity_lock_valid_ack_succeeds
        session_lock_renewal_extends_past_original_timeout
    """,
    "tag_filtering": """
        default_only_fetches_untagged tags_fetches_only_matching
        default_and_fetches_untagged_and_matching none_filter_returns_nothing multi_tag_filter
        tag_round_trip_preservation any_filter_fetches_everything
        tag_survives_abandon_and_refetch multi_runtime_tag_isolation
        tag_preserved_through_ack_orchestration_item
    """,
    "later": """
        read_corrupted_history_returns_error read_with_execution_corrupted_history_returns_error
        get_instance_stats_nonexistent get_instance_stats_history get_instance_stats_kv
        orchestration_delayed_abandon_preserves_unlocked_rows
        duplicate_start_preserves_pinned_handler continue_as_new_unregistered_backoff
        continue_as_new_transition_delivery continue_as_new_duplicate_start
        queue_race_cancellation_replay continue_as_new_queue_race_replay
        positional_wait_race_replay legacy_queue_race_decision_preserved
        queue_replay_version_stamp_roundtrip
    """,
}

_REASONS = {
    "later.queue_race_cancellation_replay": "decided in replay, and tested there",
    "later.positional_wait_race_replay": "decided in replay, and tested there",
    "later.legacy_queue_race_decision_preserved": "there is no older release to keep to",
}

_HEAD = """# The seed's provider tests, and ours

duroxide proves its providers with a suite that anyone can run; so does Perdure, in
`perdure.testing.conformance`. This table says which of our checks stands for each of its tests, and
why where none does. Where the original asserts little, ours asserts what its name says: outcomes,
order, sequence numbers, and what must *not* have happened.

A test compares this page with the suite; `python -m perdure.testing.conformance.seed` writes it.
"""


def known_names() -> dict[str, tuple[str, ...]]:
    """Names of the seed's tests, by section."""
    return {section: tuple(names.split()) for section, names in _NAMES.items()}


def table() -> str:
    """Render the whole page."""
    mapped: dict[str, list[str]] = {}
    for check in CHECKS:
        for name in check.seed:
            mapped.setdefault(name, []).append(f"`{check.area}.{check.name}`")
    own = sum(1 for check in CHECKS if not check.seed)
    lines = [_HEAD]
    count = total = 0
    for section, names in known_names().items():
        lines += [f"## {section}", "", "| seed | ours |", "| --- | --- |"]
        for name in names:
            ours = mapped.get(f"{section}.{name}")
            total += 1
            count += ours is not None
            reason = _REASONS.get(f"{section}.{name}", "")
            lines.append(f"| {name} | {', '.join(ours) if ours else f'— {reason}'} |")
        lines.append("")
    lines += [
        "## In numbers",
        "",
        f"{count} of {total} tests are stood for. Of our {len(CHECKS)} checks, {own} are new.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table())
