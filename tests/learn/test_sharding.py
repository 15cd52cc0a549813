"""The shipped launches are what accelerate reads, and those in which a method would be wrong are refused by name."""

import os
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands import launch
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from breviary.learn.sharding import problems
from breviary.model import adapt

CONFIGS = Path(__file__).resolve().parents[2] / "configs/accelerate"
KINDS = {
    "cpu": DistributedType.MULTI_GPU,  # its MULTI_CPU would start one process
    "ddp": DistributedType.MULTI_GPU,
    "fsdp": DistributedType.FSDP,
    "zero2": DistributedType.DEEPSPEED,
    "zero3": DistributedType.DEEPSPEED,
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `accelerate launch` with a shipped configuration tells its processes."""
    monkeypatch.setattr(launch, "is_bf16_available", lambda *_: True)

    def tell(name: str, *more: str) -> dict[str, str]:
        words = ["--config_file", str(CONFIGS / f"{name}.yaml"), *more, "stages/train_phase1.py"]
        arguments, defaults, _ = launch._validate_launch_command(launch.launch_command_parser().parse_args(words))
        if arguments.use_deepspeed:
            arguments.deepspeed_fields_from_accelerate_config = ",".join(defaults.deepspeed_config)
            return prepare_deepspeed_cmd_env(arguments)[1]
        return prepare_multi_gpu_env(arguments)

    return tell


@pytest.mark.parametrize("name", KINDS)
def test_accelerate_reads_every_file_and_knows_each_key(name: str) -> None:
    read = load_config_from_file(str(CONFIGS / f"{name}.yaml"))
    assert isinstance(read, ClusterConfig)
    assert (read.distributed_type, read.num_machines, read.use_cpu) == (KINDS[name], 1, name == "cpu")
    assert read.main_process_port == 0, "two launches on one machine would meet"
    parser = launch.launch_command_parser()
    known = {action.dest for action in parser._actions} | {
        "fsdp_ignored_modules"
    }  # which the launcher reads all the same
    assert set(read.fsdp_config) | set(read.deepspeed_config) <= known
    assert set(KINDS) == {path.stem for path in CONFIGS.glob("*.yaml")}


def test_cpu_and_ddp_start_as_many_processes_as_asked_and_nothing_is_refused(told: Any, make_options: Any) -> None:
    phases = {"train_phase3": make_options(terms={"cross_entropy": {"weight": 1.0}, "contrastive": {"weight": 1.0}})}
    for name in ("cpu", "ddp"):
        assert problems(phases, "nf4", told(name)) == []
        words = ["--config_file", str(CONFIGS / f"{name}.yaml"), "--num_processes", "4", "x.py"]
        arguments = launch._validate_launch_command(launch.launch_command_parser().parse_args(words))[0]
        assert (arguments.num_processes, arguments.multi_gpu, arguments.cpu) == (4, True, False)


def test_fsdp_leaves_exactly_the_adapter_whole(told: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.utils.fsdp_utils import get_parameters_from_modules

    for name, value in told("fsdp").items():
        if name.startswith("FSDP_"):
            monkeypatch.setitem(os.environ, name, value)
    plugin = FullyShardedDataParallelPlugin()
    assert (plugin.fsdp_version, plugin.reshard_after_forward, plugin.activation_checkpointing) == (2, True, False)
    assert not plugin.cpu_ram_efficient_loading
    model = tiny.adapted()
    whole = get_parameters_from_modules(plugin.ignored_modules, model, "cpu")
    assert whole == set(adapt.trainable(model).values())


def test_fsdp_as_shipped_is_right_for_methods_on_the_adapter(
    told: Any, make_options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"orthogonal": {"k": 2}}
    terms = {"cross_entropy": {"weight": 1.0}, "ewc": {"weight": 1.0}}
    assert problems({"train_phase2": make_options(terms=terms, constraints=held)}, "none", told("fsdp")) == []


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"FSDP_VERSION": "1"}, "accelerate: FSDP 1 cuts the adapter's matrices to pieces; set fsdp_version: 2"),
        (
            {"FSDP_IGNORED_MODULES": ""},
            "the adapter would be sharded, and every method takes it whole; set fsdp_ignored",
        ),
        ({"FSDP_IGNORED_MODULES": r".*\.lora_A"}, "the adapter would be sharded"),
        ({"FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, "unset fsdp_cpu_ram_efficient_loading"),
        ({"FSDP_OFFLOAD_PARAMS": "true"}, "unset fsdp_offload_params"),
    ],
)
def test_an_fsdp_that_would_be_wrong_is_refused(
    changed: dict[str, str], refusal: str, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = problems({}, "none", told("fsdp") | changed)
    assert len(found) == 1 and refusal in found[0]


def test_fsdp_refuses_what_it_cannot_shard_or_does_not_know(told: Any, make_options: Any) -> None:
    phases = {"train_phase3": make_options(terms={"cross_entropy": {"weight": 1.0}, "contrastive": {"weight": 1.0}})}
    found = "\n".join(problems(phases, "nf4", told("fsdp")))
    assert "compute.quantisation: FSDP does not shard nf4 weights; launch with configs/accelerate/ddp.yaml" in found
    assert "train_phase3.terms.contrastive: its projection heads lie outside the model that FSDP prepares" in found


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_is_refused_with_the_reason_and_what_to_do(stage: int, told: Any, make_options: Any) -> None:
    found = problems({"train_phase1": make_options()}, "none", told(f"zero{stage}"))
    assert len(found) == 1
    assert f"DeepSpeed (ZeRO-{stage}) takes the optimiser step inside backward" in found[0]
    assert "launch with configs/accelerate/ddp.yaml" in found[0]


def test_a_process_that_nobody_launched_has_nothing_to_refuse(make_options: Any) -> None:
    assert problems({"train_phase1": make_options()}, "nf4", {}) == []
