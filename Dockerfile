# Two images from one file: `--target serving` (no lightning, webdataset, wandb, auraloss) and `--target training`.
# BASE_IMAGE may be any image with Python 3.11 or 3.12 and pip.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS base
ENV NACRE_HOME=/state BENTOML_HOME=/state/bentoml BENTOML_DO_NOT_TRACK=True PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1
# cpu or cuda: which build of torch to install.
ARG NACRE_TORCH=cpu
ENV NACRE_TORCH=${NACRE_TORCH}
WORKDIR /nacre
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY pyproject.toml constraints.txt README.md LICENSE nacre.py ./
COPY docker docker
COPY codec codec
COPY registry registry
COPY models models
COPY serving serving

FROM base AS serving
RUN sh docker/install.sh python --editable '.[serving,postgres,s3]'
VOLUME /state
EXPOSE 3000
ENTRYPOINT ["nacre"]
CMD ["serve", "--help"]

FROM base AS training
COPY data_pipelines data_pipelines
COPY training training
COPY configs configs
RUN sh docker/install.sh python --editable '.[training,retrain,postgres,s3]'
VOLUME /state
ENTRYPOINT ["nacre"]
CMD ["train", "--help"]
