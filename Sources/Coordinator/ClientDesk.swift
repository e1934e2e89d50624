import ClusterCore
import Generation
import Tokenizer

/// What the coordinator keeps for its clients: which request answers which key, and the text of each answer.
///
/// Holds no socket and no clock; the shell carries out what it returns.
struct ClientDesk {
    private struct Choice {
        var text: AnswerText
        /// Tokens sent to the client.
        var tokenCount: Int32 = 0
    }

    private struct Answer {
        var key: ClientRequestKey
        var choices: [Choice]
        /// Choices that have not ended.
        var openCount: Int
    }

    private var answers: [RequestID: Answer] = [:]
    private var openCounts: [ClientID: Int] = [:]

    /// What to tell a client, or the scheduler.
    enum Outcome {
        case send(ClientRequestKey, ServerMessage)
        /// A stop string was met in this choice's text.
        case stopMatched(RequestID, choice: Int32)
    }

    /// Clients that wait for something.
    var clientsWithOpenRequests: Dictionary<ClientID, Int>.Keys { openCounts.keys }

    /// - Parameter text: that of each choice begins so.
    mutating func open(_ request: RequestID, for key: ClientRequestKey, text: AnswerText, choices: Int32 = 1) {
        answers[request] = Answer(
            key: key, choices: Array(repeating: Choice(text: text), count: Int(choices)), openCount: Int(choices))
        openCounts[key.client, default: 0] += 1
    }

    func emitPrompt(_ request: RequestID, first: Int32, tokens: [ScoredToken]) -> [Outcome] {
        guard let key = answers[request]?.key else { return [] }
        return [.send(key, .prompt(key: key.key, first: first, tokens))]
    }

    /// Tokens `firstIndex …` of a choice.
    mutating func emit(_ request: RequestID, choice: Int32, firstIndex: Int32, tokens: [ScoredToken]) -> [Outcome] {
        guard let key = answers[request]?.key, var own = answers[request]?.choices[Int(choice)], !own.text.isStopped
        else { return [] }
        precondition(own.tokenCount == firstIndex, "\(request): token \(firstIndex) after \(own.tokenCount)")
        var text = ""
        var sent: [ScoredToken] = []
        for token in tokens {
            // One token at a time, so that a stop string ends the answer at the same token whatever a message holds.
            text += own.text.append(token.token)
            sent.append(token)
            if own.text.isStopped { break }
        }
        own.tokenCount += Int32(sent.count)
        answers[request]?.choices[Int(choice)] = own
        let message = ServerMessage.tokens(
            key: key.key, choice: choice, firstIndex: firstIndex, tokens: sent, text: text)
        return [.send(key, message)] + (own.text.isStopped ? [.stopMatched(request, choice: choice)] : [])
    }

    mutating func finish(_ request: RequestID, choice: Int32, _ summary: RequestSummary) -> [Outcome] {
        guard let key = answers[request]?.key, var own = answers[request]?.choices[Int(choice)] else { return [] }
        let rest = own.text.finish()
        let completion = Completion(
            reason: own.text.isStopped ? .stop : summary.reason, text: rest, tokenCount: own.tokenCount,
            cachedTokenCount: summary.cachedTokenCount, timings: summary.timings, prefillWorker: summary.prefillWorker,
            decodeWorker: summary.decodeWorker, attempts: summary.attempts)
        answers[request]?.openCount -= 1
        if answers[request]?.openCount == 0 { _ = close(request) }
        return [.send(key, .finished(key: key.key, choice: choice, completion))]
    }

    mutating func fail(_ request: RequestID, _ failure: RequestFailure) -> [Outcome] {
        guard let answer = close(request) else { return [] }
        return [.send(answer.key, .failed(key: answer.key.key, failure))]
    }

    private mutating func close(_ request: RequestID) -> Answer? {
        guard let answer = answers.removeValue(forKey: request) else { return nil }
        let client = answer.key.client
        openCounts[client] = openCounts[client].flatMap { $0 > 1 ? $0 - 1 : nil }
        return answer
    }
}
