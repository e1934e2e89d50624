import Generation
import Testing

@testable import ClusterCore

@Suite struct PrefixPlacementTests {
    private func tokens(_ first: Int32, _ count: Int) -> [TokenID] { (0..<Int32(count)).map { first + $0 } }

    /// Which of the workers got the order of a request.
    private func worker(_ actions: [Scheduler.Action], of names: [String]) -> String? {
        names.first { name in
            actions.orders(to: name).contains { if case .prefill = $0 { true } else { false } }
        }
    }

    private func harness(_ placement: PlacementPolicy) -> SchedulerHarness {
        var harness = SchedulerHarness {
            $0.placement = placement
            $0.prefixGain = 1
            $0.prefillLookahead = 8
            $0.embedLookahead = 20
        }
        for name in ["p", "q"] { harness.join(name, .prefill) }
        harness.join("d", .decode, blocks: 1000, rows: 30)
        return harness
    }

    @Test func aPromptGoesWhereItsBeginningIs() {
        var harness = harness(.prefix)
        let stem = tokens(10, 20)
        #expect(worker(harness.submit(1, prompt: stem + [1]), of: ["p", "q"]) == "p")
        // Others go where there is least to do.
        #expect(worker(harness.submit(2, prompt: tokens(200, 8)), of: ["p", "q"]) == "q")
        #expect(worker(harness.submit(3, prompt: tokens(300, 6)), of: ["p", "q"]) == "q")
        #expect(worker(harness.submit(4, prompt: stem + [2, 3]), of: ["p", "q"]) == "p")
    }

    @Test func aHotPrefixIsComputedOnASecondWorkerWhenTheWaitOutweighsIt() {
        var harness = harness(.prefix)
        let stem = tokens(10, 24)
        var used: [String] = []
        for key in UInt64(1)...6 {
            used.append(worker(harness.submit(key, prompt: stem + [TokenID(key)]), of: ["p", "q"]) ?? "-")
        }
        #expect(used[0] == "p" && used.contains("q"))
    }

    @Test func whoHadLessComesFirstAmongTheIdle() {
        var harness = harness(.prefix)
        for key in UInt64(1)...6 {
            let actions = harness.submit(key, prompt: tokens(Int32(key) * 100, 8))
            #expect(worker(actions, of: ["p", "q"]) == (key % 2 == 1 ? "p" : "q"))
            harness.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: key)))
        }
    }

    @Test func historyIsKeptInProportion() {
        var history = WorkHistory()
        history.begin(0)
        history.begin(2)
        let isHalvedEarly = history.add(1000, to: 0)
        #expect(!isHalvedEarly && history.excess(of: 0) == 500 && history.excess(of: 2) == 0 && history[1] == nil)
        // A third begins like the others.
        history.begin(1)
        #expect(history[1] == 500)
        let hasHalved = history.add(3 << 18, to: 2)
        #expect(hasHalved && history[0] == 500 && history[2] == 3 << 17)
        history.end(2)
        #expect(history[2] == nil && history.excess(of: 2) == 0)
        let isKnown = history.add(5, to: 2)
        #expect(!isKnown && history[2] == nil)
    }

    @Test func whatAWorkerEvictedOrLostIsNotCountedOn() {
        var harness = harness(.prefix)
        let stem = tokens(10, 20)
        harness.submit(1, prompt: stem + [1])
        let attempt = AttemptID(request: RequestID(1), ordinal: 1)
        harness.say("p", .prefillStarted(attempt))
        harness.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 1)))
        let names = PrefixName.names(of: (stem + [1])[...], blockSize: 4, salt: "")
        harness.say("q", .prefixesChanged(PrefixChanges(stored: names)))
        harness.say("p", .prefixesChanged(PrefixChanges(evicted: names)))
        #expect(worker(harness.submit(2, prompt: stem + [2]), of: ["p", "q"]) == "q")
        harness.lose("q")
        #expect(worker(harness.submit(3, prompt: stem + [3]), of: ["p", "q"]) == "p")
    }

    @Test func theOtherPoliciesDoNotLookAtPrompts() {
        var harness = harness(.roundRobin)
        let used = (UInt64(1)...4).map { worker(harness.submit($0, prompt: tokens(10, 20)), of: ["p", "q"]) }
        #expect(used == ["p", "q", "p", "q"])
        harness = self.harness(.leastLoaded)
        let lightest = (UInt64(1)...4).map { worker(harness.submit($0, prompt: tokens(10, 20)), of: ["p", "q"]) }
        #expect(lightest == ["p", "q", "p", "q"])
    }

    @Test func blocksThatQueriesShareAreGrantedOnce() {
        var harness = SchedulerHarness {
            $0.placement = .prefix
            $0.growthBlocks = 0
        }
        harness.join("p", .prefill, rows: 16)
        // Room for three prompts of 10 blocks on their own, for many that share 9.
        harness.join("d", .decode, blocks: 32, rows: 8)
        let stem = tokens(10, 36)
        func complete(_ request: UInt64) {
            let attempt = AttemptID(request: RequestID(request), ordinal: 1)
            harness.say("p", .prefillFinished(attempt, TokenEvent(attempt: attempt, index: 0, token: 100)))
            harness.say("d", .kvWhole(attempt))
        }
        for key in UInt64(1)...8 { harness.submit(key, prompt: stem + [TokenID(key)], maxTokens: 3) }
        // Before any KV is there, each counts in full.
        #expect(harness.scheduler.waitingCount == 5)
        for request in UInt64(1)...3 { complete(request) }
        #expect(harness.scheduler.waitingCount < 4)
        for request in UInt64(4)...6 { complete(request) }
        #expect(harness.scheduler.waitingCount == 0)
        for key in UInt64(1)...8 { harness.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: key))) }
        #expect(harness.scheduler.decodeWorkers.allSatisfy { $0?.shared.isEmpty ?? true })
    }

    // MARK: Groups

    private func groups(_ actions: [Scheduler.Action], _ worker: String) -> [GroupID] {
        actions.orders(to: worker).compactMap {
            switch $0 {
            case .prefill(let order): order.sequence.group?.group
            case .grant(let grant): grant.sequence.group?.group
            default: nil
            }
        }
    }

    @Test func aGroupIsReleasedWhenItsLastMemberHasEnded() {
        var harness = harness(.prefix)
        let group = PrefixGroup(id: 44, prefixCount: 16, memberCount: 2)
        let first = harness.submit(1, prompt: tokens(10, 20), group: group)
        #expect(groups(first, "p") == [GroupID(1)] && groups(first, "d") == [GroupID(1)])
        #expect(groups(harness.submit(2, prompt: tokens(10, 18), group: group), "d") == [GroupID(1)])
        // Another client's group of the same number is another one.
        #expect(groups(harness.submit(1, prompt: tokens(10, 18), group: group, client: 2), "d") == [GroupID(2)])
        let one = harness.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 1)))
        #expect(!one.orders(to: "p").contains(.releaseGroup(GroupID(1))))
        let two = harness.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 2)))
        #expect(two.orders(to: "p").last == .releaseGroup(GroupID(1)) && two.orders(to: "d").last == .releaseGroup(GroupID(1)))
        #expect(harness.scheduler.groupCounters.ended == 1 && harness.scheduler.groupCounters.members == 2)
    }

    @Test func clientsOfOneOwnerShareTheirGroups() {
        var harness = harness(.prefix)
        let group = PrefixGroup(id: 44, prefixCount: 16, memberCount: 2)
        let owner = ClientID(99)
        #expect(groups(harness.submit(1, prompt: tokens(10, 20), group: group, groupOwner: owner), "d") == [GroupID(1)])
        #expect(groups(harness.submit(1, prompt: tokens(10, 18), group: group, groupOwner: owner, client: 2), "d") == [GroupID(1)])
    }

    @Test func roomIsWhatHigherPrioritiesLeave() {
        var harness = harness(.prefix)
        let all = harness.scheduler.room(for: .low)
        harness.submit(1, prompt: tokens(10, 20), priority: .low)
        #expect(harness.scheduler.room(for: .low) == all && harness.scheduler.room(for: .high) == all)
        harness.submit(2, prompt: tokens(30, 20))
        let left = harness.scheduler.room(for: .low)
        #expect(left.rows == all.rows - 1 && left.blocks < all.blocks && left.blockSize == all.blockSize)
        #expect(harness.scheduler.room(for: .normal) == all)
    }

    @Test func aGroupWhoseMembersDoNotComeIsReleasedAfterAWhile() {
        var harness = harness(.prefix)
        let group = PrefixGroup(id: 1, prefixCount: 16, memberCount: 3)
        harness.submit(1, prompt: tokens(10, 20), group: group)
        harness.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 1)))
        harness.wait(.seconds(5), alive: ["p", "q", "d"])
        harness.submit(2, prompt: tokens(10, 20), group: group)
        harness.wait(.seconds(20), alive: ["p", "q", "d"])
        #expect(harness.scheduler.openGroupCount == 1)
        harness.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 2)))
        let late = harness.wait(.seconds(11), alive: ["p", "q", "d"])
        #expect(late.orders(to: "d").contains(.releaseGroup(GroupID(1))) && harness.scheduler.openGroupCount == 0)
    }

    @Test func aGroupLongerThanItsMembersPromptIsRefused() {
        var harness = harness(.prefix)
        let actions = harness.submit(1, prompt: [1, 2], group: PrefixGroup(id: 1, prefixCount: 3, memberCount: 2))
        guard case .refused(_, let failure)? = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(failure.code == .invalid && failure.message.contains("3 tokens in a prompt of 2"))
        #expect(harness.scheduler.openGroupCount == 0)
    }
}
