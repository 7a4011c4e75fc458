//! Which models are served.

use std::sync::Arc;

use lorica::verifier::protocol::keccak::encode_scalar;
use tonic::{Request, Response, Status};

use super::Shared;
use crate::error::Refusal;
use crate::keys::Scope;
use crate::models::{ServedAdapter, ServedBase, ServedDatanet, id_of, name};
use crate::proto;
use crate::proto::model_service_server::ModelService;
use crate::store::Word;

/// The service.
pub struct Model {
    pub shared: Arc<Shared>,
}

fn base(id: &Word, served: &ServedBase) -> proto::Base {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let commitments = &served.key.commitments;
    let architecture = &commitments.architecture;
    proto::Base {
        name: name("bases", id),
        hidden: number(architecture.hidden),
        layers: number(architecture.layers),
        max_tokens: number(architecture.max_tokens),
        log_tile: commitments.log_tile,
        r_max: number(architecture.r_max),
        insecure_srs: served.key.verifier_key().is_insecure(),
    }
}

fn adapter(id: &Word, served: &ServedAdapter) -> proto::Adapter {
    proto::Adapter {
        name: name("adapters", id),
        base: name("bases", &served.base),
        labels: served.key.labels.clone(),
        classifies: served.key.has_head,
    }
}

fn datanet(id: &Word, served: &ServedDatanet) -> proto::Datanet {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    proto::Datanet {
        name: name("datanets", id),
        base: name("bases", &served.base),
        adapter: name("adapters", &served.adapter),
        version: encode_scalar(&served.key.commitments.version).to_vec(),
        records: number(served.key.commitments.count),
        contributors: number(served.contributors),
    }
}

impl Model {
    async fn admit<T>(&self, request: &Request<T>) -> Result<(), Refusal> {
        self.shared.tenant(request.metadata(), Scope::Read).await.map(|_| ())
    }
}

#[tonic::async_trait]
impl ModelService for Model {
    async fn list_bases(
        &self,
        request: Request<proto::ListBasesRequest>,
    ) -> Result<Response<proto::ListBasesResponse>, Status> {
        self.admit(&request).await?;
        let bases = self.shared.models.bases.iter().map(|(id, served)| base(id, served)).collect();
        Ok(Response::new(proto::ListBasesResponse { bases }))
    }

    async fn get_base(
        &self,
        request: Request<proto::GetBaseRequest>,
    ) -> Result<Response<proto::GetBaseResponse>, Status> {
        self.admit(&request).await?;
        let (id, served) = self.shared.models.base(&request.get_ref().name)?;
        Ok(Response::new(proto::GetBaseResponse { base: Some(base(&id, served)) }))
    }

    async fn list_adapters(
        &self,
        request: Request<proto::ListAdaptersRequest>,
    ) -> Result<Response<proto::ListAdaptersResponse>, Status> {
        self.admit(&request).await?;
        let of = match request.get_ref().base.as_str() {
            "" => None,
            name => Some(self.shared.models.base(name)?.0),
        };
        let all = self.shared.models.adapters.iter();
        let own = all.filter(|(_, served)| of.is_none_or(|base| base == served.base));
        let adapters = own.map(|(id, served)| adapter(id, served)).collect();
        Ok(Response::new(proto::ListAdaptersResponse { adapters }))
    }

    async fn get_adapter(
        &self,
        request: Request<proto::GetAdapterRequest>,
    ) -> Result<Response<proto::GetAdapterResponse>, Status> {
        self.admit(&request).await?;
        let (id, served) = self.shared.models.adapter(&request.get_ref().name)?;
        Ok(Response::new(proto::GetAdapterResponse { adapter: Some(adapter(&id, served)) }))
    }

    async fn list_datanets(
        &self,
        request: Request<proto::ListDatanetsRequest>,
    ) -> Result<Response<proto::ListDatanetsResponse>, Status> {
        self.admit(&request).await?;
        let of = match request.get_ref().adapter.as_str() {
            "" => None,
            name => Some(self.shared.models.adapter(name)?.0),
        };
        let all = self.shared.models.datanets.iter();
        let own = all.filter(|(_, served)| of.is_none_or(|adapter| adapter == served.adapter));
        let datanets = own.map(|(id, served)| datanet(id, served)).collect();
        Ok(Response::new(proto::ListDatanetsResponse { datanets }))
    }

    async fn get_datanet(
        &self,
        request: Request<proto::GetDatanetRequest>,
    ) -> Result<Response<proto::GetDatanetResponse>, Status> {
        self.admit(&request).await?;
        let (id, served) = self.shared.models.datanet(&request.get_ref().name)?;
        Ok(Response::new(proto::GetDatanetResponse { datanet: Some(datanet(&id, served)) }))
    }

    async fn get_key(&self, request: Request<proto::GetKeyRequest>) -> Result<Response<proto::GetKeyResponse>, Status> {
        self.admit(&request).await?;
        let asked = &request.get_ref().name;
        let models = &self.shared.models;
        let key = match (id_of("adapters", asked), id_of("datanets", asked)) {
            (Some(_), _) => models.adapter(asked)?.1.key.encode(),
            (_, Some(_)) => models.datanet(asked)?.1.key.encode(),
            _ => models.base(asked)?.1.key.encode(),
        };
        Ok(Response::new(proto::GetKeyResponse { key }))
    }
}
