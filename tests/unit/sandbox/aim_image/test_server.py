"""The stand-in's server, as clients, probes and scrapers meet it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aim_operator.cli.everyday.call import converse
from aim_operator.cli.everyday.chat import Chat
from aim_operator.errors import UserError
from aim_operator.sandbox.aim_image.tables import LLAMA_8B
from hack.cluster.ports import pick_ports
from tests.support.aim_image import Process, model_env

FP8 = "amd/Llama-3.1-8B-Instruct-FP8-KV"
ENV = {"AIM_GPU_MODEL": "MI300X", "AIM_PRECISION": "fp8", "AIM_STAND_IN_HUB": "simulated"}


class Served:
    """A running server; without a proxy between, whatever the environment says."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.url = process, f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, body: Any = None) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        try:
            with self._opener.open(f"{self.url}{path}", data, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def chat(self, **changes: Any) -> tuple[int, str]:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}]
        return self.get("/v1/chat/completions", {"model": LLAMA_8B, "messages": messages, **changes})

    def until_it_answers(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                assert self.get("/health")[0] == 200
            except urllib.error.URLError:
                assert self.process.poll() is None, self.process.communicate()[1]
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return


@contextmanager
def serving(directory: Path, **env: str) -> Iterator[Served]:
    [port] = pick_ports(["http"]).values()
    image = Process(directory, model_env(LLAMA_8B))
    process = subprocess.Popen(
        [sys.executable, "-m", "aim_image"],
        env=image.environment({**ENV, "AIM_PORT": str(port), **env}),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Served(process, port)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(
        tmp_path_factory.mktemp("workspace"), AIM_ENGINE_ARGS='{"max-model-len": 4096, "swap-space": 1}'
    ) as served:
        served.until_it_answers()
        yield served


def test_models_are_the_profiles_model_and_the_images_own_id(server: Served) -> None:
    code, body = server.get("/v1/models")
    models = json.loads(body)["data"]
    assert code == 200
    assert [model["id"] for model in models] == [FP8, LLAMA_8B]
    assert models[0]["max_model_len"] == 4096, "AIM_ENGINE_ARGS lies over the profile's"


def test_a_chat_is_answered_with_the_question(server: Served) -> None:
    code, body = server.chat()
    answer = json.loads(body)
    assert code == 200
    assert answer["object"] == "chat.completion"
    assert answer["model"] == LLAMA_8B
    [choice] = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].endswith("You asked: Who are you?")
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_an_answer_ends_at_its_limit(server: Served) -> None:
    [choice] = json.loads(server.chat(max_tokens=2)[1])["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("This is", "length")


def test_a_stream_has_the_same_words_one_by_one(server: Served) -> None:
    code, body = server.chat(stream=True, stream_options={"include_usage": True})
    events = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
    assert code == 200
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    usage = chunks.pop()
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], len(chunks) - 2)
    deltas = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(deltas) == json.loads(server.chat()[1])["choices"][0]["message"]["content"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


async def test_aimctl_call_finds_its_model_and_prints_its_answer(server: Served) -> None:
    written = io.StringIO()
    chat = Chat(f"{server.url}/v1", silence_seconds=10)
    await converse(chat, [{"role": "user", "content": "Who are you?"}], to=written)
    assert written.getvalue().endswith("You asked: Who are you?\n")
    with pytest.raises(UserError, match="404 Not Found: The model `other` does not exist"):
        await converse(chat, [{"role": "user", "content": "?"}], model="other", to=written)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param({"model": "org/other"}, 404, "The model `org/other` does not exist.", id="a model"),
        pytest.param({"messages": []}, 400, "needs model and messages", id="no message"),
        pytest.param({"messages": [{"role": "user"}]}, 400, "'content'", id="a message without content"),
    ],
)
def test_bad_requests_are_refused_as_openai_does(
    server: Served, body: dict[str, Any], code: int, message: str
) -> None:
    got, text = server.chat(**body)
    assert got == code
    assert message in json.loads(text)["error"]["message"]


def test_unknown_paths_are_404(server: Served) -> None:
    assert server.get("/v1/nothing")[0] == 404
    assert server.get("/v1/nothing", {})[0] == 404


def test_metrics_have_vllms_names_and_count(server: Served) -> None:
    def values() -> dict[str, float]:
        families = text_string_to_metric_families(server.get("/metrics")[1])
        return {
            sample.name: sample.value
            for family in families
            for sample in family.samples
            if sample.labels.get("finished_reason", "stop") == "stop"
        }

    before = values()
    server.chat()
    after = values()
    assert after["vllm:request_success_total"] == before["vllm:request_success_total"] + 1
    assert after["vllm:generation_tokens_total"] > before["vllm:generation_tokens_total"]
    assert after.keys() >= {
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:prompt_tokens_total",
        "vllm:time_to_first_token_seconds_count",
        "vllm:e2e_request_latency_seconds_bucket",
    }


def test_it_listens_once_loaded_reads_its_cache_and_ends_at_once(tmp_path: Path) -> None:
    cached = tmp_path / "cache" / FP8
    cached.mkdir(parents=True)
    (cached / "config.json").write_text("{}")
    began = time.monotonic()
    with serving(
        tmp_path, AIM_STAND_IN_START_SECONDS="0.5", AIM_CACHE_PATH=str(tmp_path / "cache")
    ) as served:
        served.until_it_answers()
        assert time.monotonic() - began >= 0.5
        served.process.send_signal(signal.SIGTERM)
        _, said = served.process.communicate(timeout=5)
        assert served.process.returncode == 0
    assert f"read {FP8} from {cached}, 1 files" in said
    assert "--async-scheduling --" in said, "a flag without a value"
