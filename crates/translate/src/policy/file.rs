//! The file as it is written.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct File {
    pub(super) global: Global,
    pub(super) defined_sets: DefinedSets,
    pub(super) policy_definitions: Vec<PolicyDefinition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Global {
    pub(super) apply_policy: ApplyPolicy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct ApplyPolicy {
    pub(super) config: ApplyPolicyConfig,
}

/// `in-policy-list` is for route servers, which ironlb is not: it is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct ApplyPolicyConfig {
    pub(super) import_policy_list: Vec<String>,
    pub(super) default_import_policy: Option<String>,
    pub(super) export_policy_list: Vec<String>,
    pub(super) default_export_policy: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct DefinedSets {
    pub(super) prefix_sets: Vec<PrefixSet>,
    pub(super) neighbor_sets: Vec<NeighborSet>,
    pub(super) bgp_defined_sets: BgpDefinedSets,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct PrefixSet {
    pub(super) prefix_set_name: String,
    pub(super) prefix_list: Vec<ListedPrefix>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct ListedPrefix {
    pub(super) ip_prefix: String,
    pub(super) masklength_range: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct NeighborSet {
    pub(super) neighbor_set_name: String,
    pub(super) neighbor_info_list: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct BgpDefinedSets {
    pub(super) community_sets: Vec<CommunitySet>,
    pub(super) ext_community_sets: Vec<ExtCommunitySet>,
    pub(super) as_path_sets: Vec<AsPathSet>,
    pub(super) large_community_sets: Vec<LargeCommunitySet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct CommunitySet {
    pub(super) community_set_name: String,
    pub(super) community_list: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct ExtCommunitySet {
    pub(super) ext_community_set_name: String,
    pub(super) ext_community_list: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct AsPathSet {
    pub(super) as_path_set_name: String,
    pub(super) as_path_list: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct LargeCommunitySet {
    pub(super) large_community_set_name: String,
    pub(super) large_community_list: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct PolicyDefinition {
    pub(super) name: String,
    pub(super) statements: Vec<WrittenStatement>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct WrittenStatement {
    pub(super) name: String,
    pub(super) conditions: Conditions,
    pub(super) actions: Actions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Conditions {
    pub(super) match_prefix_set: Option<MatchPrefixSet>,
    pub(super) match_neighbor_set: Option<MatchNeighborSet>,
    pub(super) bgp_conditions: BgpConditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct MatchPrefixSet {
    pub(super) prefix_set: String,
    pub(super) match_set_options: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct MatchNeighborSet {
    pub(super) neighbor_set: String,
    pub(super) match_set_options: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct BgpConditions {
    pub(super) match_community_set: Option<MatchCommunitySet>,
    pub(super) match_ext_community_set: Option<MatchExtCommunitySet>,
    pub(super) match_as_path_set: Option<MatchAsPathSet>,
    pub(super) match_large_community_set: Option<MatchLargeCommunitySet>,
    pub(super) as_path_length: Option<AsPathLength>,
    pub(super) route_type: String,
    pub(super) next_hop_in_list: Vec<String>,
    pub(super) afi_safi_in_list: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct MatchCommunitySet {
    pub(super) community_set: String,
    pub(super) match_set_options: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct MatchExtCommunitySet {
    pub(super) ext_community_set: String,
    pub(super) match_set_options: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct MatchAsPathSet {
    pub(super) as_path_set: String,
    pub(super) match_set_options: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct MatchLargeCommunitySet {
    pub(super) large_community_set: String,
    pub(super) match_set_options: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct AsPathLength {
    pub(super) operator: String,
    pub(super) value: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Actions {
    pub(super) route_disposition: String,
    pub(super) bgp_actions: BgpActions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct BgpActions {
    pub(super) set_as_path_prepend: Option<SetAsPathPrepend>,
    pub(super) set_community: Option<SetCommunity>,
    pub(super) set_ext_community: Option<SetExtCommunity>,
    pub(super) set_large_community: Option<SetLargeCommunity>,
    pub(super) set_next_hop: String,
    pub(super) set_local_pref: Option<u32>,
    pub(super) set_med: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct SetAsPathPrepend {
    #[serde(rename = "as")]
    pub(super) asn: String,
    pub(super) repeat_n: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct SetCommunity {
    pub(super) options: String,
    pub(super) set_community_method: CommunityList,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct SetExtCommunity {
    pub(super) options: String,
    pub(super) set_ext_community_method: CommunityList,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct SetLargeCommunity {
    pub(super) options: String,
    pub(super) set_large_community_method: CommunityList,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct CommunityList {
    pub(super) communities_list: Vec<String>,
}
