# How `./ship build` builds: the Dockerfile's arguments from the commit, and an OCI layout whose files depend on
# nothing else. Run by hand: VERSION=1.0.0 SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) docker buildx bake -f docker-bake.hcl

variable "VERSION" {
  default = "0.0.0"
}

variable "REVISION" {
  default = "unknown"
}

variable "CREATED" {
  default = "1970-01-01T00:00:00Z"
}

variable "MODEL_FORMAT" {
  default = "onnx"
}

# Empty: the Dockerfile's own, pinned by digest.
variable "PYTHON_IMAGE" {
  default = ""
}

# The host's certificate authorities, for a build behind a TLS-intercepting proxy. Empty: the base image's own.
variable "CA_BUNDLE" {
  default = ""
}

# The folder that holds the table, the table's path in it, and what the model is called. Empty: the Dockerfile's example.
variable "SOURCE" {
  default = ""
}

variable "DATA" {
  default = ""
}

variable "TARGET" {
  default = ""
}

variable "NAME" {
  default = ""
}

# The commit of this repository, where REVISION is that of another, which the table is from.
variable "PIPELINE" {
  default = ""
}

variable "DESTINATION" {
  default = "build/image.loose"
}

group "default" {
  targets = ["image"]
}

target "image" {
  context = "."
  args = {
    VERSION      = VERSION
    REVISION     = REVISION
    CREATED      = CREATED
    MODEL_FORMAT = MODEL_FORMAT
    PYTHON_IMAGE = PYTHON_IMAGE != "" ? PYTHON_IMAGE : null
    NAME         = NAME != "" ? NAME : null
    DATA         = DATA != "" ? DATA : null
    TARGET       = TARGET != "" ? TARGET : null
    LICENSES     = PIPELINE != "" ? "" : null # of another's model this repository cannot say
  }
  contexts = SOURCE != "" ? { source = SOURCE } : {}
  labels   = PIPELINE != "" ? { "com.shipshape.pipeline.revision" = PIPELINE } : {}
  secret = CA_BUNDLE != "" ? ["id=ca,src=${CA_BUNDLE}"] : []
  # Attestations carry the time of the build: they hang beside the image, never inside its digest.
  attest = ["type=provenance,disabled=true", "type=sbom,disabled=true"]
  # Not compressed: scripts/oci/packing.py does that, the same way whichever BuildKit built it.
  output = ["type=oci,dest=${DESTINATION},tar=false,rewrite-timestamp=true,compression=uncompressed,force-compression=true"]
}
