# The image of the controller. Built as executor_image/Dockerfile is; it holds no user code, and
# replay pools and executors never run it.
ARG BASE=python:3.13-slim

FROM ${BASE} AS dependencies
COPY wheels /wheels
RUN python3 -m venv /opt/perdure \
 && /opt/perdure/bin/pip install --no-cache-dir --no-index --no-deps --find-links /wheels -r /wheels/operator.txt

FROM ${BASE}
COPY --from=dependencies /opt/perdure /opt/perdure
COPY package /tmp/package
RUN /opt/perdure/bin/pip install --no-cache-dir --no-index --no-deps /tmp/package/*.whl
ENV PATH=/opt/perdure/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["python", "-m", "perdure_operator"]
