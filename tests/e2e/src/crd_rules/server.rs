//! Requests with plain JSON, so that every version, verb and strange field can be sent as a user could send it.

use anyhow::Context;
use http::Method;
use kube::Client;
use serde_json::Value;

/// Who we are in `managedFields`.
pub(super) const MANAGER: &str = "crd-rules";

/// Why the API server said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Field and message of each cause.
    pub(super) causes: Vec<(String, String)>,
    pub(super) message: String,
    pub(super) code: u16,
}

/// What came of a request that the API server answered.
pub(super) type Answer = Result<Value, Refusal>;

/// The objects of one kind in one served version.
#[derive(Debug, Clone)]
pub(super) struct Collection {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) kind: String,
}

impl Collection {
    /// An object of this collection; without a `spec` when that is null.
    pub(super) fn object(&self, name: &str, spec: &Value) -> Value {
        let mut object = serde_json::json!({
            "apiVersion": format!("{}/{}", self.group, self.version),
            "kind": self.kind,
            "metadata": {"name": name},
        });
        if !spec.is_null() {
            object["spec"] = spec.clone();
        }
        object
    }

    fn path(&self) -> String {
        format!("/apis/{}/{}/{}", self.group, self.version, self.plural)
    }
}

/// The API server. Every write asks it to be strict about unknown fields, as kubectl does.
pub(super) struct Server {
    pub(super) client: Client,
}

impl Server {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(super) async fn create(&self, of: &Collection, object: &Value) -> anyhow::Result<Answer> {
        self.write(Method::POST, &of.path(), "application/json", object).await
    }

    /// As a create, and nothing is stored.
    pub(super) async fn create_dry(&self, of: &Collection, object: &Value) -> anyhow::Result<Answer> {
        self.write(Method::POST, &format!("{}?dryRun=All", of.path()), "application/json", object).await
    }

    pub(super) async fn get(&self, of: &Collection, name: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, format!("{}/{name}", of.path()), "application/json", None).await
    }

    /// The objects as `kubectl get` asks for them.
    pub(super) async fn table(&self, of: &Collection) -> anyhow::Result<Answer> {
        self.send(Method::GET, of.path(), "application/json;as=Table;v=v1;g=meta.k8s.io", None).await
    }

    /// PUT, with the resourceVersion the object has now.
    pub(super) async fn replace(&self, of: &Collection, object: &Value) -> anyhow::Result<Answer> {
        self.replace_at(of, "", object).await
    }

    /// PUT of the status subresource.
    pub(super) async fn replace_status(&self, of: &Collection, object: &Value) -> anyhow::Result<Answer> {
        self.replace_at(of, "/status", object).await
    }

    async fn replace_at(&self, of: &Collection, below: &str, object: &Value) -> anyhow::Result<Answer> {
        let name = name_of(object)?;
        loop {
            let mut sent = object.clone();
            let stored = self.get(of, name).await?.map_err(|refusal| anyhow::anyhow!("get {name}: {refusal:?}"))?;
            sent["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
            let path = format!("{}/{name}{below}", of.path());
            match self.write(Method::PUT, &path, "application/json", &sent).await? {
                Err(refusal) if refusal.code == 409 => {}
                answer => return Ok(answer),
            }
        }
    }

    pub(super) async fn merge(&self, of: &Collection, name: &str, patch: &Value) -> anyhow::Result<Answer> {
        let path = format!("{}/{name}", of.path());
        self.write(Method::PATCH, &path, "application/merge-patch+json", patch).await
    }

    pub(super) async fn merge_status(&self, of: &Collection, name: &str, patch: &Value) -> anyhow::Result<Answer> {
        let path = format!("{}/{name}/status", of.path());
        self.write(Method::PATCH, &path, "application/merge-patch+json", patch).await
    }

    /// Server-side apply of the object.
    pub(super) async fn apply(&self, of: &Collection, object: &Value) -> anyhow::Result<Answer> {
        self.apply_at(of, "", object).await
    }

    /// Server-side apply of the status subresource.
    pub(super) async fn apply_status(&self, of: &Collection, object: &Value) -> anyhow::Result<Answer> {
        self.apply_at(of, "/status", object).await
    }

    async fn apply_at(&self, of: &Collection, below: &str, object: &Value) -> anyhow::Result<Answer> {
        let path = format!("{}/{}{below}?force=true&fieldManager={MANAGER}", of.path(), name_of(object)?);
        self.write(Method::PATCH, &path, "application/apply-patch+yaml", object).await
    }

    /// Deletes the object if it is there.
    pub(super) async fn delete(&self, of: &Collection, name: &str) -> anyhow::Result<()> {
        match self.send(Method::DELETE, format!("{}/{name}", of.path()), "application/json", None).await? {
            Err(refusal) if refusal.code != 404 => anyhow::bail!("{} {name} was not deleted: {refusal:?}", of.kind),
            _ => Ok(()),
        }
    }

    async fn write(&self, method: Method, path: &str, content: &str, body: &Value) -> anyhow::Result<Answer> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}fieldValidation=Strict");
        self.send(method, path, "application/json", Some((content, serde_json::to_vec(body)?))).await
    }

    async fn send(
        &self,
        method: Method,
        path: String,
        accept: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> anyhow::Result<Answer> {
        let mut request = http::Request::builder().method(method).uri(path).header(http::header::ACCEPT, accept);
        if let Some((content, _)) = &body {
            request = request.header(http::header::CONTENT_TYPE, *content);
        }
        let request = request.body(body.map(|(_, bytes)| bytes).unwrap_or_default())?;
        match self.client.request::<Value>(request).await {
            Ok(value) => Ok(Ok(value)),
            Err(kube::Error::Api(status)) => {
                let causes = status.details.as_ref().map(|details| details.causes.clone()).unwrap_or_default();
                Ok(Err(Refusal {
                    causes: causes.into_iter().map(|cause| (cause.field, cause.message)).collect(),
                    message: status.message.clone(),
                    code: status.code,
                }))
            }
            Err(error) => Err(error).context("ask the API server"),
        }
    }
}

fn name_of(object: &Value) -> anyhow::Result<&str> {
    object["metadata"]["name"].as_str().context("an object without a name")
}
