-- Copyright The LeaderWorkerSet Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- The health of a LeaderWorkerSet in Argo CD. docs/install/gitops.md says where it goes.

local function health(status, message)
  return { status = status, message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "The set is being deleted")
end

local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "The operator hasn't observed the last change yet")
end

-- The conditions that are True.
local holds, all = {}, {}
for _, condition in ipairs(status.conditions) do
  all[condition.type] = condition
  if condition.status == "True" then
    holds[condition.type] = condition
  end
end

if holds.Stalled ~= nil then
  return health("Degraded", holds.Stalled.reason .. ": " .. holds.Stalled.message)
end
if holds.Available ~= nil then
  local updating = all.UpdateInProgress
  if updating ~= nil and updating.reason == "HeldByPartition" then
    return health("Suspended", updating.message)
  end
  return health("Healthy", holds.Available.message)
end
if holds.ReplicaFailure ~= nil then
  return health("Progressing", holds.ReplicaFailure.reason .. ": " .. holds.ReplicaFailure.message)
end

local message = "Groups are missing or not ready"
if holds.Progressing ~= nil then
  message = holds.Progressing.message
end
if status.unreadyGroups ~= nil and status.unreadyGroups[1] ~= nil then
  local first = status.unreadyGroups[1]
  message = message .. "; group " .. tostring(first.index) .. " " .. first.reason
  if first.message ~= nil then
    message = message .. ", " .. first.message
  end
end
return health("Progressing", message)
