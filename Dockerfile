# docker build -t nas-harness .                           for the CPU
# docker build -t nas-harness:gpu --target gpu .          for NVIDIA GPUs: PyTorch's CUDA build, several GB
#
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/study" nas-harness run --method darts --seeds 5
# docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/study" nas-harness:gpu run --device cuda --method darts
#
# Runs and reports are written to the folder that is mounted at /study.

FROM python:3.13-slim AS source
RUN pip install --no-cache-dir uv==0.13.9 && python -m venv /opt/harness
ENV VIRTUAL_ENV=/opt/harness UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /source
COPY . .

FROM source AS install-cpu
RUN uv pip install --no-cache --torch-backend cpu -c constraints.txt ".[dask]"

FROM source AS install-gpu
RUN uv pip install --no-cache -c constraints.txt ".[dask]"

FROM python:3.13-slim AS base
# HOME: whoever --user names can write caches there. GIT_PYTHON_REFRESH: MLflow looks for git and does well without.
ENV PATH=/opt/harness/bin:$PATH HOME=/tmp GIT_PYTHON_REFRESH=quiet
WORKDIR /study
RUN chmod 1777 /study
USER 1000
ENTRYPOINT ["harness"]
CMD ["--help"]

FROM base AS gpu
# What the NVIDIA container toolkit gives the container.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=install-gpu /opt/harness /opt/harness

FROM base AS cpu
COPY --from=install-cpu /opt/harness /opt/harness
