#!/bin/sh
# A stand-in for a model image. `dry-run --format=json` describes the model as an AIM image does, without
# arguments it serves HTTP on port 8000. AIM_STAND_IN, set by the image, makes it misbehave.
# It needs no privilege, no network and no writable root: tests run it as uid 65532 without capabilities.

metric=${AIM_METRIC:-latency}
precision=${AIM_PRECISION:-fp16}
gpu=${AIM_GPU_MODEL:-MI300X}
count=${AIM_GPU_COUNT:-1}
model=${AIM_MODEL_ID:-meta-llama/Llama-3.1-8B-Instruct}

describe() {
  case ${AIM_STAND_IN:-} in
    slow) sleep "${AIM_TEST_SLEEP:-5}" ;;
    broken)
      echo "error: no profile of this image fits GPU model $gpu" >&2
      exit 3
      ;;
    garbage)
      echo 'INFO reading profiles'
      echo '[{"filename": "vllm-mi300x", "profile": {"model": '
      printf '\001\377 this is no JSON ]]}\n'
      exit 0
      ;;
  esac
  echo "INFO aim-runtime: selecting a profile for $count x $gpu, metric $metric, precision $precision"
  echo "WARN aim-runtime: dry run, nothing is downloaded" >&2
  cat <<JSON
[
  {
    "filename": "vllm-$(echo "$gpu" | tr A-Z a-z)-$precision-tp$count-$metric.yaml",
    "profile": {
      "model": "meta-llama/Llama-3.1-8B-Instruct",
      "quantized_model": "meta-llama/Llama-3.1-8B-Instruct",
      "metadata": {
        "engine": "vllm",
        "gpu": "$gpu",
        "precision": "$precision",
        "gpu_count": $count,
        "metric": "$metric",
        "type": "optimized"
      },
      "engine_args": {
        "distributed_executor_backend": "mp",
        "max-model-len": 8192,
        "no-enable-log-requests": true,
        "tensor-parallel-size": $count
      },
      "env_vars": {
        "HIP_FORCE_DEV_KERNARG": "1",
        "VLLM_USE_AITER_MOE": "1"
      }
    },
    "models": [
      {
        "name": "meta-llama/Llama-3.1-8B-Instruct",
        "source": "hf://meta-llama/Llama-3.1-8B-Instruct",
        "size_gb": 8.47
      }
    ]
  }
]
JSON
}

serve() {
  for base in /tmp /dev/shm; do
    root=$base/www
    mkdir -p "$root/v1" 2>/dev/null && break
  done
  printf '{"status": "ok"}\n' >"$root/health"
  printf '{"object": "list", "data": [{"id": "%s", "object": "model", "owned_by": "aim"}]}\n' "$model" >"$root/v1/models"
  printf '<!doctype html><title>AIM stand-in</title>%s\n' "$model" >"$root/index.html"
  echo "INFO serving $model on port 8000"
  # Not in the foreground as PID 1: that would ignore SIGTERM, and each deletion would take 30 s.
  httpd -f -p 8000 -h "$root" &
  server=$!
  trap 'kill $server; exit 0' TERM INT
  wait $server
}

case ${1:-} in
  dry-run) describe ;;
  '') serve ;;
  *)
    echo "error: unknown command: $*; expected dry-run --format=json, or nothing to serve" >&2
    exit 2
    ;;
esac
