"""The cases of Erlang/OTP's own supervisor_SUITE, by group, edition of 2025, and those without meaning here.

Each case is a test of its own name, `test_<case>`, in a module beside this one; where the point is a process and not a
decision, a test on Ray shows it too. `test_otp_complete` holds the two lists against the tests that exist.
"""

CASES = {
    "sup_start": """
        sup_start_normal sup_start_ignore_init sup_start_ignore_child sup_start_ignore_temporary_child
        sup_start_ignore_temporary_child_start_child sup_start_ignore_temporary_child_start_child_simple
        sup_start_ignore_permanent_child_start_child_simple sup_start_error_return sup_start_fail
        sup_start_child_returns_error sup_start_restart_child_returns_error sup_start_child_returns_error_simple""",
    "sup_start_map": "sup_start_map sup_start_map_simple sup_start_map_faulty_specs",
    "sup_stop": """
        sup_stop_infinity sup_stop_timeout sup_stop_timeout_dynamic sup_stop_brutal_kill sup_stop_brutal_kill_dynamic
        sup_stop_race sup_stop_non_shutdown_exit_dynamic""",
    "requests": "child_adm child_adm_simple extra_return child_specs child_specs_map sup_flags",
    "intensity": "multiple_restarts",
    "restart_one_for_one": "one_for_one one_for_one_escalation",
    "restart_one_for_all": "one_for_all one_for_all_escalation one_for_all_other_child_fails_restart",
    "restart_simple_one_for_one": """
        simple_one_for_one simple_one_for_one_shutdown simple_one_for_one_extra simple_one_for_one_escalation
        simple_one_for_one_corruption simple_one_for_one_restart_ignore""",
    "restart_rest_for_one": "rest_for_one rest_for_one_escalation rest_for_one_other_child_fails_restart",
    "normal_termination": "external_start_no_progress_log permanent_normal transient_normal temporary_normal",
    "shutdown_termination": "permanent_shutdown transient_shutdown temporary_shutdown faulty_application_shutdown",
    "abnormal_termination": "permanent_abnormal transient_abnormal temporary_abnormal",
    "tree": "child_unlink tree",
    "significant": """
        nonsignificant_temporary nonsignificant_transient significant_temporary significant_transient
        significant_simple significant_bystander significant_escalation significant_upgrade_never_any
        significant_upgrade_any_never significant_upgrade_never_all significant_upgrade_all_never
        significant_upgrade_any_all significant_upgrade_all_any significant_upgrade_child""",
    "counts": "count_children count_children_supervisor count_restarting_children get_callback_module",
    "memory": """
        do_not_save_start_parameters_for_temporary_children do_not_save_child_specs_for_temporary_children
        simple_one_for_one_scale_many_temporary_children temporary_bystander simple_global_supervisor""",
    "restart_loop": "hanging_restart_loop hanging_restart_loop_rest_for_one hanging_restart_loop_simple",
    "code_change": "code_change code_change_map code_change_simple code_change_simple_map",
    "rest": """
        order_of_children scale_start_stop_many_children format_log_1 format_log_2 already_started_outside_supervisor
        which_children which_children_simple_one_for_one""",
}

NOT_HERE = {
    "sup_start_ignore_init": "a supervisor has no init callback that could return `ignore`: it is a spec, a value",
    "sup_start_error_return": "no init callback that could return nonsense; faulty specs: sup_start_map_faulty_specs",
    "extra_return": "a start returns no information beside the process; its requests and errors are those of child_adm",
    "simple_one_for_one_extra": "the same for simple_one_for_one",
    "external_start_no_progress_log": "about OTP's logger: which report a restart writes",
    "get_callback_module": "no callback module",
    "format_log_1": "about the format of OTP's reports",
    "format_log_2": "about the format of OTP's reports",
}

ON_RAY = {
    "child_unlink": "test_a_child_that_does_not_stop_in_time_is_ended_all_the_same",
    "already_started_outside_supervisor": "test_a_name_that_an_actor_outside_bears_is_not_taken",
    "simple_global_supervisor": "test_f46_a_killed_supervisor_comes_back_to_its_children_also_to_those_added_later",
}
"""Shown by a test on Ray alone: nothing in them is a decision."""


def every_case() -> list[str]:
    return [case for group in CASES.values() for case in group.split()]
