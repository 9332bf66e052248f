# One image; the command decides what runs: `api`, `worker`, `migrate`.
FROM python:3.13-slim AS build
WORKDIR /src
RUN pip install --no-cache-dir "uv>=0.13,<0.14"
COPY requirements.lock ./
RUN python -m venv /opt/dunning && uv pip install --python /opt/dunning/bin/python --require-hashes --compile-bytecode -r requirements.lock
COPY . .
RUN uv pip install --python /opt/dunning/bin/python --no-deps .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/dunning --create-home dunning
COPY --from=build /opt/dunning /opt/dunning
ENV PATH=/opt/dunning/bin:$PATH PYTHONUNBUFFERED=1 DUNNING_DATA_DIR=/var/lib/dunning DUNNING_HOST=0.0.0.0
USER dunning
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
ENTRYPOINT ["dunning"]
CMD ["api"]
