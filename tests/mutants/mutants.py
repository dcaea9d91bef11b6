"""One-line breakages of rules, and for each the test that must turn red.

To add one: a file, a piece of its text that stands there once, what stands there instead, and the
id of a test that takes a second or two. A mutant must be a mistake that somebody could make.
"""

from dataclasses import dataclass

RULES = "tests/cores/test_unit_rules.py"
TABLE = "tests/cores/test_signature_table.py"
MACHINE = "tests/cores/test_unit_machine.py"
SEALING = "tests/cores/test_sealing.py"
SIGNING = "tests/cores/test_signing.py"
SCHEMA = "tests/cores/test_schema.py"
CHARTER = "tests/cores/test_charter.py"
HISTORY = "tests/cores/test_history.py"
STANDING = "tests/cores/test_standing.py"
ACCESSION = "tests/cores/test_accession.py"
FILING = "tests/cores/test_workflow_filing.py"
REPORT = "tests/cores/test_report.py"
NEW_LOG = "tests/cores/test_report_new_log.py"
KEYS = "tests/cores/test_key_storage.py"
CALLS = "tests/cores/test_key_admission.py"
KEY_FORMATS = "tests/properties/test_key_formats.py"


@dataclass(frozen=True)
class Mutant:
    """A mistake: `old` becomes `new` in `file`, and `test` must fail."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = [
    # --- the signature table
    Mutant(
        "a commit needs one signature",
        "protocol/commands/quorum.py",
        "CommitNewRegister: (Need.REFUSED, Need.SIGNATURE_THRESHOLD)",
        "CommitNewRegister: (Need.REFUSED, Need.ONE)",
        f"{TABLE}::test_a_command_needs_so_many_signatures",
    ),
    Mutant(
        "a removal needs the signature threshold",
        "protocol/commands/quorum.py",
        "RemoveAdministrator: (Need.NONE, Need.REVOCATION_THRESHOLD)",
        "RemoveAdministrator: (Need.NONE, Need.SIGNATURE_THRESHOLD)",
        f"{TABLE}::test_a_command_needs_so_many_signatures",
    ),
    Mutant(
        "a load runs in imprint mode",
        "protocol/commands/quorum.py",
        "LoadNewRegister: (Need.REFUSED, Need.ONE)",
        "LoadNewRegister: (Need.NONE, Need.ONE)",
        f"{TABLE}::test_a_command_needs_so_many_signatures",
    ),
    Mutant(
        "lowering the revocation threshold is like any other change",
        "protocol/commands/quorum.py",
        "if revocations < state.revocation_threshold:",
        "if revocations < 0:",
        f"{TABLE}::test_a_command_needs_so_many_signatures",
    ),
    Mutant(
        "leaving imprint mode needs the threshold in force, which is 0",
        "protocol/commands/quorum.py",
        "            return signatures\n",
        "            return state.signature_threshold\n",
        f"{TABLE}::test_a_command_needs_so_many_signatures",
    ),
    Mutant(
        "zeroize always needs one signature",
        "protocol/commands/quorum.py",
        "return 1 if one else state.signature_threshold",
        "return 1",
        f"{TABLE}::test_a_command_needs_so_many_signatures",
    ),
    # --- what every command must pass
    Mutant(
        "a command for another unit runs",
        "hsm_backend/unit/admission.py",
        "if command.unit == unit:",
        "if command.unit:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "a life is known by its number",
        "hsm_backend/unit/admission.py",
        "if command.incarnation == memory.incarnation:",
        "if command.incarnation.number == memory.incarnation.number:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "a state is known by its version",
        "hsm_backend/unit/admission.py",
        "if (command.version, command.state) == (memory.version, digest):",
        "if command.version == memory.version:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "signatures are counted, not signers",
        "hsm_backend/unit/admission.py",
        "    have = len(distinct(approvals))",
        "    have = len(approvals)",
        f"{TABLE}::test_one_key_counts_once_however_often_it_signs",
    ),
    Mutant(
        "one signature too few is enough",
        "hsm_backend/unit/admission.py",
        "if have >= needed:",
        "if have >= needed - 1:",
        f"{TABLE}::test_a_command_needs_so_many_signatures",
    ),
    Mutant(
        "strangers' signatures count",
        "hsm_backend/unit/admission.py",
        """            return refuse(
                Rule.SIGNER_UNKNOWN,
                expected="signatures of installed administrators",
                found=approval.ski.hex(),
            )
""",
        "            continue\n",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "a command runs until not-after",
        "hsm_backend/unit/admission.py",
        "latest = command.not_after - LAST_MINUTE",
        "latest = command.not_after",
        f"{MACHINE}::test_a_command_runs_from_not_before_until_a_minute_before_not_after",
    ),
    Mutant(
        "a command may be valid for ever",
        "hsm_backend/unit/admission.py",
        "if validity <= LONGEST_VALIDITY:",
        "if validity:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    # --- administrators and thresholds
    Mutant(
        "an administrator's name may be long",
        "protocol/commands/rules.py",
        "if 1 <= len(name) <= 30 and",
        "if 1 <= len(name) and",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "a removal looks only at the signature threshold",
        "protocol/commands/rules.py",
        "needed = max(state.signature_threshold, state.revocation_threshold)",
        "needed = state.signature_threshold",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "who leaves still counts",
        "protocol/commands/rules.py",
        "left = len(state.administrators) - 1",
        "left = len(state.administrators)",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "the revocation threshold may be above the number of administrators",
        "protocol/commands/rules.py",
        "if body.revocations <= installed:",
        "if body.signatures <= installed:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "an administrator's key needn't prove itself",
        "protocol/commands/rules.py",
        "        body.key.check()\n",
        "        body.key.ski  # noqa: B018\n",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    # --- key users
    Mutant(
        "one signature installs a key user",
        "protocol/commands/quorum.py",
        "AddKeyUser: (Need.REFUSED, Need.SIGNATURE_THRESHOLD)",
        "AddKeyUser: (Need.REFUSED, Need.ONE)",
        f"{TABLE}::test_a_command_needs_so_many_signatures",
    ),
    Mutant(
        "key users are installed in imprint mode",
        "protocol/commands/quorum.py",
        "AddKeyUser: (Need.REFUSED, Need.SIGNATURE_THRESHOLD)",
        "AddKeyUser: (Need.NONE, Need.SIGNATURE_THRESHOLD)",
        f"{TABLE}::test_a_command_needs_so_many_signatures",
    ),
    Mutant(
        "a key user's key may be one that everybody signs with",
        "protocol/commands/key_users.py",
        "if crypto_core_ed25519_is_valid_point(body.public_key):",
        "if len(body.public_key) == 32:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "a key user's name may stand for two keys",
        "protocol/commands/key_users.py",
        "if body.public_key == there.public_key or body.name == there.name:",
        "if body.public_key == there.public_key:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "a key user may have no right at all",
        "protocol/commands/key_users.py",
        "if body.rights and set(body.rights) <= set(known) and",
        "if set(body.rights) <= set(known) and",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "removing one key user removes the others",
        "protocol/commands/effects.py",
        "one for one in state.key_users if one.public_key != public_key",
        "one for one in state.key_users if one.public_key == public_key",
        "tests/cores/test_wording.py::test_what_a_command_is_and_changes",
    ),
    # --- master key registers
    Mutant(
        "any key is committed",
        "protocol/commands/rules.py",
        "                new_register_not_uncommitted,\n"
        "                lambda state: vp_mismatch(state.new, body.vp),\n",
        "                new_register_not_uncommitted,\n",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "a load overwrites",
        "protocol/commands/rules.py",
        "                lambda _: part_twice(body),\n                new_register_not_empty,\n",
        "                lambda _: part_twice(body),\n",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "the current key is loaded again",
        "hsm_backend/unit/master_key.py",
        "if memory.state.current.vp != vp:",
        "if memory.state.new.vp != vp:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "an importer key is good for any request",
        "hsm_backend/unit/master_key.py",
        "if (public.digest, public.request) == (command.importer, command.request):",
        "if public.digest == command.importer:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "anybody gives anybody's part",
        "hsm_backend/unit/master_key.py",
        "if part.custodian == named.custodian:",
        "if part.custodian:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "a part isn't compared with its VP",
        "protocol/sealing/contribution.py",
        "if len(value) != 32 or vp_of(value) != part.vp:",
        "if len(value) != 32:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "the seal isn't bound to the load",
        "protocol/sealing/contribution.py",
        "signing_bytes = load.signing_bytes()",
        'signing_bytes = b""',
        f"{SEALING}::test_every_field_of_the_load_is_bound_into_the_seal",
    ),
    Mutant(
        "importer keys outlive their state",
        "hsm_backend/unit/machine.py",
        """        current_key=current_key,
        importer_keys=(),
    )


def _reborn""",
        """        current_key=current_key,
    )


def _reborn""",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    # --- keys of recovery units
    Mutant(
        "every unit exports its key",
        "protocol/commands/rules.py",
        "    if kind is UnitType.RECOVERY or not",
        "    if kind is not None or not",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "a receiver may be governed otherwise",
        "hsm_backend/unit/transfer.py",
        "        if unlike is not None:",
        "        if unlike is not None and memory is None:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "an export runs for other receivers than were signed",
        "hsm_backend/unit/transfer.py",
        "    if digest != command.importer:",
        "    if digest == command.importer and False:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "importer keys serve imports for ever",
        "hsm_backend/unit/transfer.py",
        " and at - held.public.made <= LONGEST_VALIDITY",
        "",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    Mutant(
        "any receipt of the source is an export",
        "hsm_backend/unit/transfer.py",
        "    if not isinstance(entry, Receipt) or command is None or command.id != body.export:",
        "    if not isinstance(entry, Receipt) or command is None:",
        f"{RULES}::test_the_unit_refuses_and_says_why",
    ),
    # --- lives, redelivery, time
    Mutant(
        "a redelivered command is checked again",
        "hsm_backend/unit/machine.py",
        "    if before is not None:\n        return Executed",
        "    if before is None and False:\n        return Executed",
        f"{MACHINE}::test_a_redelivered_command_gets_its_first_receipt",
    ),
    Mutant(
        "a command doesn't raise the version",
        "hsm_backend/unit/machine.py",
        "        version=StateVersion(memory.version + 1),\n        state=after(",
        "        version=memory.version,\n        state=after(",
        f"{MACHINE}::test_a_receipt_holds_the_command_the_signatures_and_both_states",
    ),
    Mutant(
        "the unit's clock is the host's",
        "hsm_backend/unit/machine.py",
        "    return max(now, memory.clock)",
        "    return now",
        f"{MACHINE}::test_the_units_clock_never_runs_backwards",
    ),
    Mutant(
        "set immediate leaves the key in the new register too",
        "hsm_backend/unit/machine.py",
        "new_key, current_key = None, memory.new_key",
        "current_key = memory.new_key",
        f"{MACHINE}::test_a_key_goes_from_parts_to_the_current_register",
    ),
    Mutant(
        "the digest of a state leaves the last receipt out",
        "protocol/unit_state.py",
        "_BoundState(state=state, last_receipt=last_receipt)",
        "_BoundState(state=state, last_receipt=Digest(bytes(32)))",
        f"{MACHINE}::test_a_state_that_looks_the_same_again_is_another",
    ),
    Mutant(
        "a refusal for lack of signatures says never",
        "protocol/refusals.py",
        "208, can_still_run=True",
        "208",
        f"{MACHINE}::test_a_refusal_says_whether_the_command_can_still_run",
    ),
    # --- bytes and signatures
    Mutant(
        "other spellings of the same value are read",
        "protocol/canonical.py",
        "if again != data:",
        "if not again:",
        "tests/vectors/test_canonical.py::test_no_other_bytes",
    ),
    Mutant(
        "text needn't be normal",
        "protocol/canonical.py",
        'not unicodedata.is_normalized("NFC", value):',
        'not unicodedata.is_normalized("NFC", value.strip("\\u0301")):',
        "tests/vectors/test_canonical.py::test_no_other_bytes",
    ),
    Mutant(
        "text is taken for bytes, as base64",
        "protocol/schema.py",
        "msgspec.convert(plain, kind, builtin_types=(bytes,))",
        "msgspec.convert(plain, kind)",
        f"{SCHEMA}::test_what_is_no_such_structure",
    ),
    Mutant(
        "a name may end with a line feed",
        "protocol/displayable.py",
        'max_length=30, pattern=r"\\A[a-z0-9][a-z0-9.\\-]*\\Z"',
        'max_length=30, pattern=r"^[a-z0-9][a-z0-9.\\-]*$"',
        f"{SCHEMA}::test_every_pattern_is_for_the_whole_text",
    ),
    Mutant(
        "of a hybrid signature one half is enough",
        "protocol/signing/algorithms.py",
        "VerifyKey(public_key[:_ED25519_KEY]).verify(message, signature[:_ED25519_SIGNATURE])",
        "VerifyKey(public_key[:_ED25519_KEY])",
        "tests/vectors/test_signatures.py::test_hybrid",
    ),
    Mutant(
        "labels are not signed",
        "protocol/signing/labels.py",
        'return label.value + b"\\0" + (value',
        'return b"\\0" + (value',
        f"{SIGNING}::test_a_statement_does_not_open_under_another_label",
    ),
    Mutant(
        "a statement is read before it is verified",
        "protocol/signing/statements.py",
        "    verify_identity(key, labelled(label, signed.statement), signed.signature)\n",
        "",
        f"{SIGNING}::test_a_statement_does_not_open_under_another_key_or_changed",
    ),
    Mutant(
        "a unit may sign for another",
        "protocol/receipts.py",
        "    if unit != unit_id(identity):",
        "    if not unit:",
        f"{MACHINE}::test_a_unit_signs_only_for_itself",
    ),
    # --- the charter
    Mutant(
        "one key belongs to two people",
        "protocol/charter.py",
        "skis = sorted(key.ski for person in self.people for key in person.keys)",
        "skis = sorted({key.ski for person in self.people for key in person.keys})",
        f"{CHARTER}::test_what_a_charter_refuses_to_be",
    ),
    Mutant(
        "a new version replaces the agents of its judges",
        "protocol/charter.py",
        "before = chain.versions[charter.number - 2 : charter.number - 1]",
        "before = chain.versions[charter.number - 1 : charter.number]",
        f"{CHARTER}::test_a_new_version_cannot_replace_the_agents_of_its_judges",
    ),
    # --- history, standing, accession
    Mutant(
        "a history's entries needn't follow each other",
        "protocol/history.py",
        "if entry.previous != (hashes[-1] if hashes else None):",
        "if entry.previous is None and hashes:",
        f"{HISTORY}::test_a_unit_that_breaks_the_rules_is_found_out",
    ),
    Mutant(
        "a receipt's signatures aren't counted",
        "protocol/history.py",
        "if len(skis) < needed:",
        "if len(skis) < 0:",
        f"{HISTORY}::test_a_unit_that_breaks_the_rules_is_found_out",
    ),
    Mutant(
        "a receipt may change what its command doesn't",
        "protocol/history.py",
        "if receipt.after != after(receipt.before, command.body, loaded=loaded):",
        "if receipt.after is None:",
        f"{HISTORY}::test_a_unit_that_breaks_the_rules_is_found_out",
    ),
    Mutant(
        "keys are counted where people are meant",
        "protocol/standing.py",
        "return len(people_of(charter, skis))",
        "return len(skis)",
        f"{STANDING}::test_a_command_by_one_person_with_two_keys",
    ),
    Mutant(
        "a captured unit is a unit like any other",
        "protocol/standing.py",
        "return max(needed, 1 if charter.alone else charter.floor.exit_people)",
        "return 0",
        f"{STANDING}::test_a_captured_unit_that_was_laundered_since",
    ),
    Mutant(
        "strangers may stay",
        "protocol/standing.py",
        "if all(charter.owner_of(one.ski) is None for charter in standing)",
        "if not standing",
        f"{STANDING}::test_a_stranger_beside_the_people_who_took_it_out",
    ),
    Mutant(
        "the floor may be broken",
        "protocol/standing.py",
        "return signatures >= charter.floor.signatures and",
        "return signatures >= 1 and",
        f"{STANDING}::test_thresholds_that_fell_below_the_floor",
    ),
    Mutant(
        "an older version may take a unit out that a newer one names",
        "protocol/standing.py",
        "if named is not None and named < position:",
        "if named is not None and named > position:",
        f"{STANDING}::test_an_exit_under_an_older_version_after_a_newer_ones_receipt",
    ),
    Mutant(
        "in imprint mode newcomers vote themselves in",
        "protocol/accession.py",
        "before_needed = 1 if preceding.alone else preceding.floor.exit_people",
        "before_needed = 0",
        f"{ACCESSION}::test_in_imprint_mode_people_of_the_version_before_are_needed_too",
    ),
    Mutant(
        "units that nobody has seen are in imprint mode",
        "protocol/accession.py",
        "return self.enough and not self.unknown and not self.outdated",
        "return self.enough and not self.outdated",
        f"{ACCESSION}::test_a_unit_whose_history_isnt_known_keeps_it_out",
    ),
    Mutant(
        "a revocation threshold below the charter's least may be filed",
        "protocol/standing.py",
        "if _meets(charter, body.signatures, body.revocations):",
        "if _meets(charter, body.signatures, body.signatures):",
        f"{FILING}::test_bad_thresholds_are_refused",
    ),
    # --- the report
    Mutant(
        "a report's witness may be anybody",
        "protocol/report/proof.py",
        "maker = chain.newest.custodian(claimed.agent)",
        "maker = chain.newest.custodian(claimed.agent) or chain.newest.people[0]",
        f"{REPORT}::test_a_witness_who_is_no_custodian_fails",
    ),
    Mutant(
        "a report may use old states",
        "protocol/report/proof.py",
        "if witness.nonce not in answer.nonces:",
        "if not answer.nonces:",
        f"{REPORT}::test_states_of_another_occasion_fail",
    ),
    Mutant(
        "a report may hide receipts that the log holds",
        "protocol/report/proof.py",
        "missing = len(logged - there)",
        "missing = 0",
        f"{REPORT}::test_changed_histories_fail",
    ),
    Mutant(
        "a version that one person accepted may leave the log of the one in force out",
        "protocol/report/proof.py",
        "if newest.coordinator.log != log:",
        "if newest.coordinator.log == log and not newest.people:",
        f"{NEW_LOG}::test_a_version_that_is_not_in_force_leaves_no_log_behind",
    ),
    Mutant(
        "what ran before a log isn't told",
        "protocol/report/proof.py",
        "and named.coordinator.log != log",
        "and named.coordinator.log == log",
        f"{NEW_LOG}::test_what_ran_before_is_told_and_the_rest_is_proven_as_ever",
    ),
    Mutant(
        "a log that was left may come back",
        "protocol/charter.py",
        "if after.coordinator.log in left:",
        "if after.coordinator.log in left - {before.coordinator.log, after.coordinator.log}:",
        f"{CHARTER}::test_no_version_takes_a_log_up_again_that_was_left",
    ),
    # --- key storage
    Mutant(
        "a wrap opens for any key",
        "hsm_backend/keys/master.py",
        "place = WrapPlace(storage=storage, key=key,",
        "place = WrapPlace(storage=storage, key=KeyId(bytes(16)),",
        f"{KEY_FORMATS}::test_a_wrap_opens_in_its_own_place_alone",
    ),
    Mutant(
        "the master key wraps by itself",
        "hsm_backend/keys/master.py",
        "AESGCMSIV(_derived(key, Label.ROOT_KEY_WRAP))",
        "AESGCMSIV(key)",
        f"{KEY_FORMATS}::test_each_purpose_has_a_key_of_its_own",
    ),
    Mutant(
        "a blob isn't bound to its key",
        "protocol/keys/blobs.py",
        'return Label.KEY_BLOB.value + b"\\0" + self.header + given',
        'return Label.KEY_BLOB.value + b"\\0" + given',
        f"{KEY_FORMATS}::test_damage_is_told_from_a_wrong_opening",
    ),
    Mutant(
        "an inventory that no unit wrote is believed",
        "hsm_backend/keys/mirror.py",
        "if one.vp == master.vp and master.vouched(found.inventory, one.tag):",
        "if one.vp == master.vp:",
        f"{KEYS}::test_rows_that_no_unit_wrote[sqlite]",
    ),
    Mutant(
        "a shorter log is believed",
        "hsm_backend/keys/mirror.py",
        "found.storage != one.storage or found.size < one.size",
        "found.storage != one.storage",
        f"{KEYS}::test_an_inventory_rolled_back[sqlite-True]",
    ),
    Mutant(
        "a fork that has outgrown what was seen is believed after a restart",
        "hsm_backend/keys/mirror.py",
        "and roots[mark.size] != mark.root:",
        "and not roots[mark.size]:",
        f"{KEYS}::test_a_fork_that_has_outgrown_what_was_seen[sqlite-True]",
    ),
    Mutant(
        "events aren't compared with the inventory's root",
        "hsm_backend/keys/mirror.py",
        "if (frontier.size, frontier.root) != (found.size, found.root):",
        "if frontier.size != found.size:",
        f"{KEYS}::test_rows_that_no_unit_wrote[sqlite]",
    ),
    Mutant(
        "deleted keys still open what they wrapped",
        "hsm_backend/keys/root_keys.py",
        "elif (refusal := key_deleted(record)) is not None:",
        "elif (refusal := key_deleted(record)) is not None and not record.version:",
        f"{KEYS}::test_a_deleted_key_does_nothing_and_comes_back[sqlite]",
    ),
    Mutant(
        "a deletion that comes again deletes again",
        "hsm_backend/keys/draft.py",
        "refusal = key_moved_on(record, wanted) or key_deleted(record)",
        "refusal = key_deleted(record)",
        f"{KEYS}::test_what_is_asked_again_is_done_once[sqlite]",
    ),
    Mutant(
        "keys are destroyed as soon as they are deleted",
        "hsm_backend/keys/draft.py",
        "if record.kind is EventKind.DELETED and retention_passed(record, self.at):",
        "if record.kind is EventKind.DELETED:",
        f"{KEYS}::test_until_its_time_has_passed[sqlite]",
    ),
    Mutant(
        "an id may be used again",
        "hsm_backend/keys/draft.py",
        "if same and record.kind is not EventKind.DESTROYED:",
        "if record.kind is not EventKind.DESTROYED:",
        f"{KEYS}::test_an_id_is_used_once[sqlite]",
    ),
    Mutant(
        "whoever is installed may do anything",
        "hsm_backend/keys/admission.py",
        "if user is None or needed is None or needed in user.rights:",
        "if user is None or needed is None or user.rights:",
        f"{CALLS}::test_each_right_is_good_for_its_own_operations",
    ),
    Mutant(
        "restoring needs no right",
        "protocol/keys/operations.py",
        "    Restore: KeyRight.DELETE,\n",
        "    Restore: None,\n",
        f"{CALLS}::test_each_right_is_good_for_its_own_operations",
    ),
    Mutant(
        "a call may be old",
        "hsm_backend/keys/admission.py",
        "if abs(call.at - at) <= CLOCK_WINDOW:",
        "if call.at - at <= CLOCK_WINDOW:",
        f"{CALLS}::test_a_call_is_good_for_a_minute_before_and_after",
    ),
    Mutant(
        "a call from ahead is forgotten while it is still good",
        "hsm_backend/keys/admission.py",
        "Duration(2 * CLOCK_WINDOW)",
        "Duration(CLOCK_WINDOW)",
        f"{CALLS}::test_a_call_is_taken_once_for_as_long_as_it_is_good",
    ),
    Mutant(
        "a call for another unit is taken",
        "hsm_backend/keys/admission.py",
        "    if call.unit != unit:\n",
        "    if not call.unit:\n",
        f"{CALLS}::test_a_call_for_another_unit_breaks_the_protocol",
    ),
    Mutant(
        "an answer to another call is believed",
        "protocol/keys/answers.py",
        "if answer.call != call_digest(call.statement):",
        "if not answer.call:",
        f"{CALLS}::test_an_answer_is_the_units_own_to_this_very_call",
    ),
]
